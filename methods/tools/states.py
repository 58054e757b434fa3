"""States of several tasks in one: TASK/NAME for each tensor."""

from collections.abc import Mapping

from methods.base import State


def joined(states: Mapping[str, State]) -> State:
    """Returns the states of all tasks as one, with the task in front of each name."""
    return {
        f"{task}/{name}": tensor for task, state in states.items() for name, tensor in state.items()
    }


def by_task(state: State) -> dict[str, State]:
    """Returns the inverse of `joined`; entries of no task are left out."""
    states: dict[str, State] = {}
    for name, tensor in state.items():
        task, _, part = name.rpartition("/")
        if task:
            states.setdefault(task, {})[part] = tensor
    return states
