"""A run folder and the place of a stage come in; what it learnt comes out, as a folder of its own.

Plain peft or transformers loads that folder, with the same predictions.
"""
