"""What the order of tasks does to a run, and what predicts it.

In: the table of runs and metrics. Out: tables of spreads, rankings, variances, models of orders.
"""
