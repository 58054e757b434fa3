"""Reads the plan of a run from its folder alone: needs no study, data or models."""

from typing import Any

from sweep.errors import InputError
from sweep.plan.units import UnitGraph
from sweep.storage.folder import DamagedError, Folder

PLAN = "plan.json"
"""The plan's file in a run folder."""
NOWHERE = "Folder '{}' does not exist; give the folder of a run, such as runs/quickstart."
"""What is said of a folder that is not there."""


def read_plan(folder: Folder) -> tuple[dict[str, Any], UnitGraph]:
    """Returns what `Plan.counts` says of the plan and what has `stopped` it; its units and runs.

    Raises:
        InputError: the folder holds no run, or one of another version.
    """
    if not folder.exists():
        raise InputError(NOWHERE.format(folder.uri))
    if not folder.exists(PLAN):
        raise InputError(f"'{folder.uri}' holds no run (there is no {PLAN} in it).")
    try:
        facts: dict[str, Any] = folder.read_json(PLAN)
    except DamagedError:
        raise InputError(
            f"{PLAN} in '{folder.uri}' is damaged; `sweep run` with the same study writes it "
            f"again and keeps all stages."
        ) from None
    try:
        return facts, UnitGraph.from_dict(facts["graph"])
    except (KeyError, TypeError):
        raise InputError(
            f"'{folder.uri}' was written by another version of this package; `sweep run` says what "
            f"can be kept of it."
        ) from None
