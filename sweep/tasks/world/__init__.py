"""The embedded benchmarks: a procedural world of captioned 32x32 pictures."""

from sweep.tasks.world.config import Dial, World

__all__ = ["Dial", "World"]
