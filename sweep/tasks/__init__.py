"""Where tasks come from: the embedded world, or folders of images."""

from sweep.tasks.base import Benchmark, BenchmarkConfig
from sweep.tasks.folder import Folder

BENCHMARKS: dict[str, type[BenchmarkConfig]] = {"folder": Folder}

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkConfig"]
