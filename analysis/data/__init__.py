"""Results of a study, as they are recorded and read.

In: run folders, files of other tools, bare accuracy matrices. Out: `Results`, with all scores as
one array.
"""
