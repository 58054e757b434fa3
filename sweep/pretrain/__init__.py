"""Pretrains the embedded backbones by their recipes.

Captioned pictures come in, of the world or of collections; a model like one of the hub goes out.
"""

from sweep.pretrain.tiny_clip import pretrain_tiny_clip
from sweep.pretrain.tiny_clip_pictures import pretrain_tiny_clip_pictures
from sweep.pretrain.tiny_vlm import pretrain_tiny_vlm

RECIPES = {
    "tiny-clip": pretrain_tiny_clip,
    "tiny-clip-pictures": pretrain_tiny_clip_pictures,
    "tiny-vlm": pretrain_tiny_vlm,
}
"""Functions that pretrain an embedded backbone, by its name."""

__all__ = ["RECIPES", "pretrain_tiny_clip", "pretrain_tiny_clip_pictures", "pretrain_tiny_vlm"]
