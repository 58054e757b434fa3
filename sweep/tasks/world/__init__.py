"""The embedded benchmark: a procedural world of captioned 32x32 pictures."""

from sweep.tasks.world.config import World

__all__ = ["World"]
