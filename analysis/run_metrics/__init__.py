"""Metrics of single runs.

In: the accuracy matrices of `Results`. Out: a table with one row per run and one column per metric.
"""
