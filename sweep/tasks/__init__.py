"""Where tasks come from: the embedded world, or folders of images."""

from sweep.tasks.base import Benchmark, BenchmarkConfig

BENCHMARKS: dict[str, type[BenchmarkConfig]] = {}

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkConfig"]
