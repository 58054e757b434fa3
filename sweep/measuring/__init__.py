"""Measures how similar a study's tasks are: the one step before training that costs something.

A study and its backbones come in; similarity matrices go out, remembered by this machine.
"""
