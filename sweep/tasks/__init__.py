"""Where tasks come from: the embedded world, or folders of images."""

from sweep.tasks.base import Benchmark, BenchmarkConfig
from sweep.tasks.folder import Folder
from sweep.tasks.world import Dial, World

BENCHMARKS: dict[str, type[BenchmarkConfig]] = {"world": World, "dial": Dial, "folder": Folder}

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkConfig"]
