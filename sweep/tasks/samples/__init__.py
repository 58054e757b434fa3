"""Makes samples of data sets that others have published.

The rows of tables, and what a study says about them, come in; splits and tasks go out.
"""
