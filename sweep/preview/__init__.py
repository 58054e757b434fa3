"""Predicts what a study costs and yields, and tells how far a run is.

A plan or a run folder comes in; costs, precision and progress go out.
"""
