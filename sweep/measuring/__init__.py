"""Measures how similar a study's tasks are; the only costly step before training.

A study and its backbones come in; similarity matrices go out, cached on this machine.
"""
