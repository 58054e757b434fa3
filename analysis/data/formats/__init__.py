"""How other tools write their results, one file per tool or layout.

In: the text, cells or arrays of a file. Out: `Reading`, its runs as they were given.
"""
