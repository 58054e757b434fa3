"""The command line.

Words come in; a function of the package is called, and what it returns is shown.
"""
