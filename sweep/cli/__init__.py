"""The command line.

Arguments come in; a function of the package is called, and what it returns is shown.
"""
