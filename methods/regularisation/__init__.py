"""Penalties on weights, losses on embeddings and projections of gradients.

They keep what earlier tasks need from changing while the next one is trained.
"""
