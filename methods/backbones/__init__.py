"""Pretrained vision-language models of both families behind one interface.

In come a path or hub id and batches; out come logits, losses, answers and embeddings.
"""

from typing import TYPE_CHECKING, Any

from methods.backbones.base import Backbone, Family

if TYPE_CHECKING:
    from methods.backbones.loading import load_backbone


def __getattr__(name: str) -> Any:
    """Import `load_backbone` on first use: planning and reports must not wait for transformers."""
    if name != "load_backbone":
        raise AttributeError(f"module 'methods.backbones' has no attribute '{name}'")
    from methods.backbones.loading import load_backbone

    return load_backbone


__all__ = ["Backbone", "Family", "load_backbone"]
