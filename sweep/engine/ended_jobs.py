"""Frees what studies have left on a cluster that were killed: resources that no lane could get.

Ray frees the placement groups of a job when it ends, as it does with a `sweep run` that is killed.
But the job's actors end some hundredths of a second later, and Ray grants what one of them asks for
in between, and keeps it for ever.
"""

from collections.abc import Iterator
from typing import Any

import ray
from ray._private.state import state
from ray.util.placement_group import PlacementGroup, remove_placement_group


def free_of_ended_jobs() -> None:
    """Frees the placement groups of jobs that have ended, granted or not, if their makers are dead.

    It is what Ray does itself, except for groups that are asked for too late. Groups that are to
    outlive their job, and those of actors that did, are left alone.
    """
    for group in _of_other_jobs():
        if not group.is_detached and _is_dead(group.creator_actor_id):
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))


def _of_other_jobs() -> Iterator[Any]:
    """Yields the groups of jobs that have ended, as Ray describes them.

    Private to Ray: checked with 2.60, tests/sweep/test_ended_jobs.py fails if it changes.
    """
    # It cannot be pickled, and Ray pickles the modules of actors by their names alone.
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    raw = state._connect_and_get_accessor().get_placement_group_table()
    own = ray.get_runtime_context().get_job_id()
    groups = [
        group
        for group in map(PlacementGroupTableData.FromString, raw)
        if group.state != group.REMOVED and group.creator_job_id.hex() != own
    ]
    if groups:
        ended = {job["JobID"] for job in state.job_table() if job["IsDead"]}
        yield from (group for group in groups if group.creator_job_id.hex() in ended)


def _is_dead(maker: bytes) -> bool:
    """Returns whether an actor is dead, or was none: a job's own process, which ended with it."""
    from ray.core.generated.gcs_pb2 import ActorTableData

    actor = ray.ActorID(maker)
    if actor.is_nil():
        return True
    raw = state.get_actor_info(actor)
    # Ray forgets the dead in time.
    return raw is None or ActorTableData.FromString(raw).state == ActorTableData.DEAD
