"""Holds the version of the two distributions: `task-order-sweep` and `task-order-analysis`."""

__version__ = "0.1.0"
