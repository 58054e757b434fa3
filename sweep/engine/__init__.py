"""Runs a study on Ray: the only folder that imports it.

A plan comes in; finished stages and the results of the study go out, into a run folder.
"""
