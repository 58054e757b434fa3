"""Pretrained vision-language models of both families behind one interface."""

from typing import TYPE_CHECKING, Any

from methods.backbones.base import Backbone, Family

if TYPE_CHECKING:
    from methods.backbones.loading import load_backbone


def __getattr__(name: str) -> Any:
    """Import on first use: who only plans or reports must not wait for transformers."""
    if name != "load_backbone":
        raise AttributeError(f"module 'methods.backbones' has no attribute '{name}'")
    from methods.backbones.loading import load_backbone

    return load_backbone


__all__ = ["Backbone", "Family", "load_backbone"]
