"""Training on earlier tasks again: samples kept in memory, or generated ones.

Beside its own batch, each step of a stage draws one from what is replayed.
"""
