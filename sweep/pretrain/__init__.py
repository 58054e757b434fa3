"""Recipes of the embedded backbones."""

from sweep.pretrain.tiny_clip import pretrain_tiny_clip

RECIPES = {"tiny-clip": pretrain_tiny_clip}

__all__ = ["RECIPES", "pretrain_tiny_clip"]
