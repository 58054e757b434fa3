"""Pretrains the embedded backbones by their recipes.

Captioned pictures of the world come in; a model like one of the hub goes out.
"""

from sweep.pretrain.tiny_clip import pretrain_tiny_clip

RECIPES = {"tiny-clip": pretrain_tiny_clip}
"""Functions that pretrain an embedded backbone, by its name."""

__all__ = ["RECIPES", "pretrain_tiny_clip"]
