"""The embedded benchmarks: a procedural world of captioned 32x32 pictures."""

from sweep.tasks.world.config import Captions, Dial, Renderer, World

__all__ = ["Captions", "Dial", "Renderer", "World"]
