"""Loads processors of models that read videos too, for images alone."""

from types import SimpleNamespace
from typing import Any, ClassVar

from transformers import PROCESSOR_MAPPING, AutoProcessor

_VIDEOS = "video_processor"


def processor_class(config: Any) -> Any:
    """Returns what loads the processor of a model, by its configuration."""
    kind = PROCESSOR_MAPPING.get(type(config), None)
    reads_videos = kind is not None and _VIDEOS in kind.get_attributes()
    return without_videos(kind) if reads_videos else AutoProcessor


def without_videos(kind: Any) -> Any:
    """Returns a class of processors without the part that reads videos.

    No task here has videos, and transformers' parts that read them need torchvision, which has no
    build for every machine.
    """
    return type(kind.__name__, (_Stills, kind), {})


class _Stills:
    """A processor whose videos are left out. Checked with transformers 5.18 and 5.24."""

    video_processor: ClassVar[Any] = SimpleNamespace(num_frames=None, fps=None)
    """What SmolVLM asks of it even where there is no video."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Returns the names of its parts."""
        parts: list[str] = super().get_attributes()  # type: ignore[misc]
        return [name for name in parts if name != _VIDEOS]

    @classmethod
    def from_args_and_dict(cls, args: list[Any], processor_dict: Any, **options: Any) -> Any:
        """Returns the processor of its parts: image processor, tokenizer, and no third one."""
        made = super().from_args_and_dict  # type: ignore[misc]
        return made([*args, None], processor_dict, **options)
