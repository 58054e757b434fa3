"""The methods that every study compares with, and `FineTune`, the base of most others.

This is the only family that others import from.
"""
