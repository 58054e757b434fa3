"""Defines what an order is."""

Order = tuple[str, ...]
"""Names of tasks, in the order in which they are learnt."""
