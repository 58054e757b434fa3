"""The plan of a run, read from its folder alone: no study, data or models are needed for it."""

import json
from typing import Any

from sweep.errors import InputError
from sweep.plan.units import UnitGraph
from sweep.storage.folder import Folder

PLAN = "plan.json"


def read_plan(folder: Folder) -> dict[str, Any]:
    """Returns what `Plan.counts` says of the plan, with its `graph`, and what has `stopped` it.

    Raises:
        InputError: the folder holds no run.
    """
    if not folder.exists(PLAN):
        raise InputError(f"'{folder.uri}' holds no run (there is no {PLAN} in it).")
    facts: dict[str, Any] = json.loads(folder.read(PLAN))
    return facts


def read_graph(folder: Folder) -> UnitGraph:
    """Returns the units and runs of the plan."""
    return UnitGraph.from_dict(read_plan(folder)["graph"])
