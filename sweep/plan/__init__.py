"""Plans what has to be computed for a study, and in which order: no files, no models, no Ray.

A study comes in; runs, distinct units and the next unit for a lane go out.
"""
