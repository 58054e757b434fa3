"""Reads the plan of a run from its folder alone: needs no study, data or models."""

import json
from typing import Any

from sweep.errors import InputError
from sweep.plan.units import UnitGraph
from sweep.storage.folder import Folder

PLAN = "plan.json"
NOWHERE = "Folder '{}' does not exist; give the folder of a run, such as runs/quickstart."
"""The plan's file in a run folder."""


def read_plan(folder: Folder) -> dict[str, Any]:
    """Returns `Plan.counts` of a run, with its `graph` and the early stop in `stopped`.

    Raises:
        InputError: the folder holds no run, or one of an older version.
    """
    if not folder.exists():
        raise InputError(NOWHERE.format(folder.uri))
    if not folder.exists(PLAN):
        raise InputError(f"'{folder.uri}' holds no run (there is no {PLAN} in it).")
    facts: dict[str, Any] = json.loads(folder.read(PLAN))
    if "graph" not in facts:
        raise InputError(
            f"'{folder.uri}' was written by an older version of this package; `sweep run` brings "
            f"it up to date and trains nothing that is finished."
        )
    return facts


def read_graph(folder: Folder) -> UnitGraph:
    """Returns the units and runs of the plan."""
    return UnitGraph.from_dict(read_plan(folder)["graph"])
