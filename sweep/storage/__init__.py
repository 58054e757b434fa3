"""What is kept of a run, on any filesystem: finished stages, results, who is at work.

Records and states come in; they are read again by whatever goes on with the run.
"""
