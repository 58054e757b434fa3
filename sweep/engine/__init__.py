"""Runs a study on Ray; no other folder imports Ray.

A plan comes in; finished stages and the results of the study go out, into a run folder.
"""
