"""Means over replicates: their intervals, tests, and how many replicates are enough.

In: the table of runs and metrics. Out: estimates with intervals, p values, stopping points.
"""
