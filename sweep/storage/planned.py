"""Reads the plan of a run from its folder alone: needs no study, data or models."""

import json
from typing import Any

from sweep.errors import InputError
from sweep.plan.units import UnitGraph
from sweep.storage.folder import Folder

PLAN = "plan.json"


def read_plan(folder: Folder) -> dict[str, Any]:
    """Returns `Plan.counts` of a run, with its `graph` and the early stop in `stopped`.

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
