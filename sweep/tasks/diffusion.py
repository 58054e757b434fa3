"""Generates images with a text-to-image diffusion model; needs the package `diffusers`."""

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from methods.data import Images, Task
from methods.seeds import derive_seed
from sweep.errors import InputError
from sweep.hub import HubOrFolder, check_revision, commit_of, digest
from sweep.pulse import PULSE
from sweep.tasks.base import BenchmarkConfig, Generator, GeneratorConfig

_AT_ONCE = 8
"""Images of one call of the pipeline."""
_INDEX = "model_index.json"
"""The file that every repository or folder with a pipeline has."""


class Diffusion(GeneratorConfig):
    """A diffusers pipeline, such as Stable Diffusion, prompted with the task's first template."""

    name: str = "diffusers"
    path: HubOrFolder = Field(description="Hub id or folder of a text-to-image pipeline.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    steps: int = Field(default=50, ge=1, description="Denoising steps of an image.")
    guidance: float = Field(default=7.5, ge=0, description="Classifier-free guidance scale.")
    seed: int = Field(default=0, description="Another seed draws other images.")

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the settings, and of the folder's files or the hub's commit."""
        settings = self.model_dump(exclude={"path", "revision"})
        return hashlib.sha256(repr((settings, self._version)).encode()).hexdigest()

    @cached_property
    def _version(self) -> str:
        """Which weights these are."""
        folder = Path(self.path)
        if not folder.is_dir():
            return commit_of("generator", self.path, self.revision, _INDEX)
        if not (folder / _INDEX).is_file():
            raise InputError(f"generator '{self.path}': the folder holds no {_INDEX}.")
        check_revision("generator", self.path, self.revision)
        return digest(folder)

    def check(self) -> None:
        """Makes sure that the package is installed.

        Raises:
            InputError: it is not installed.
        """
        if importlib.util.find_spec("diffusers") is None:
            raise InputError("generator 'diffusers' needs a package: pip install diffusers.")

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        """Loads the pipeline; it can draw for any benchmark."""
        from diffusers import DiffusionPipeline

        device = torch.accelerator.current_accelerator() or torch.device("cpu")
        dtype = torch.float32 if device.type == "cpu" else torch.float16
        pipeline = DiffusionPipeline.from_pretrained(
            self.path,
            revision=None if Path(self.path).is_dir() else self._version,
            torch_dtype=dtype,
        ).to(device)
        pipeline.set_progress_bar_config(disable=True)

        def draw(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> Images:
            prompts = task.prompts()
            pictures = []
            for start in range(0, len(labels), _AT_ONCE):
                PULSE.beat()
                some = slice(start, start + _AT_ONCE)
                pictures += pipeline(
                    [prompts[label] for label in labels[some]],
                    num_inference_steps=self.steps,
                    guidance_scale=self.guidance,
                    # On the CPU, so that a seed gives the same noise on every device.
                    generator=[
                        torch.Generator().manual_seed(derive_seed(self.seed, task.name, seed))
                        for seed in seeds[some]
                    ],
                ).images
            return pictures

        return draw
