"""Results of a study, as they are recorded and read.

In: run folders, CSV files, bare accuracy matrices. Out: `Results`, with all scores as one array.
"""
