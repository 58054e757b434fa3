"""Takes few samples of every task, to try a study out in seconds however large its data are."""

from dataclasses import replace

from methods.data import Task
from sweep.stage.samples import spread
from sweep.tasks.base import Benchmark


def thinned(benchmark: Benchmark, most: int, first: int) -> Benchmark:
    """Returns a benchmark with the same tasks and few samples of each.

    Args:
        benchmark: The whole one.
        most: Samples of a split, at most.
        first: The same for the first task: as many as are evaluated at once, which takes most
            memory.
    """

    def thin(task: Task, most: int) -> Task:
        train, test = (
            split.part(spread(len(split), most).numpy()) for split in (task.train, task.test)
        )
        return replace(task, train=train, test=test)

    return Benchmark(
        {
            name: thin(task, first if i == 0 else most)
            for i, (name, task) in enumerate(benchmark.tasks.items())
        },
        {name: thin(task, most) for name, task in benchmark.probes.items()},
    )


def num_tested(benchmark: Benchmark) -> int:
    """Returns how many test samples an evaluation goes through."""
    suites = (*benchmark.tasks.values(), *benchmark.probes.values())
    return sum(len(task.test) for task in suites)


def num_pictures(benchmark: Benchmark) -> int:
    """Returns how many images a study trains on and tests with."""
    splits = [task.train for task in benchmark.tasks.values()]
    for tasks in (benchmark.tasks, benchmark.probes):
        splits += [task.test for task in tasks.values()]
    return sum(len(split.pictures) for split in splits)
