"""Models that are merged from experts, each trained on one task, or from states along a path.

In come trained states (`combine`); out comes one model for all tasks, or one per task.
"""
