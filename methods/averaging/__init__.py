"""Weights are averaged along the path of training."""
