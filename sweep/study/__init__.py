"""Reads and validates the study file, and finds the versions of its data and backbones.

YAML comes in; a `Study` goes out, or one sentence on what is wrong with it.
"""
