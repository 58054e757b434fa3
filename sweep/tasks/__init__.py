"""Where tasks come from: the embedded world, or folders of images; and what methods add to them."""

from sweep.tasks.base import (
    Benchmark,
    BenchmarkConfig,
    DataConfig,
    Generator,
    GeneratorConfig,
    ReferenceConfig,
)
from sweep.tasks.dataset import Dataset
from sweep.tasks.diffusion import Diffusion
from sweep.tasks.folder import Folder
from sweep.tasks.world import Captions, Dial, Renderer, World

BENCHMARKS: dict[str, type[BenchmarkConfig]] = {"world": World, "dial": Dial, "folder": Folder}
REFERENCES: dict[str, type[ReferenceConfig]] = {"captions": Captions, "dataset": Dataset}
GENERATORS: dict[str, type[GeneratorConfig]] = {"renderer": Renderer, "diffusers": Diffusion}

__all__ = [
    "BENCHMARKS",
    "GENERATORS",
    "REFERENCES",
    "Benchmark",
    "BenchmarkConfig",
    "DataConfig",
    "Generator",
    "GeneratorConfig",
    "ReferenceConfig",
]
