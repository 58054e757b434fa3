"""Knows published benchmarks by name, from one file each in sweep/benchmarks.

A name and what a study changes come in; sources of tasks, orders and published figures go out.
"""
