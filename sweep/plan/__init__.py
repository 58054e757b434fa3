"""What has to be done for a study, and in which order: pure functions, no files, no models.

A study comes in; runs, distinct units and what is next go out.
"""
