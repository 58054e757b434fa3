"""Closed forms on the features of a frozen backbone.

Each task is summed up by itself; a prefix is the solution for the sum of its tasks.
"""
