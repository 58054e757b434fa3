"""Stores a run on any filesystem: finished stages, results, and a lock.

Records and states come in; a resumed run, `status` and `report` read them again.
"""
