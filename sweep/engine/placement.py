"""Finds the resources that lanes hold; frees those whose owner has died.

Train's controller makes a placement group before it starts a lane's workers in it. Ray knows from
then on which actor made the group, but keeps a group whose maker has died, or that is still
waiting for resources then, until the whole study ends.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ray
from ray._private.state import state
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group


def free_ownerless() -> None:
    """Frees the placement groups of this study whose makers have died, granted or not.

    All that this takes is known to Ray, so it does not matter whether the coordinator that calls it
    was there when the group was made. Train has a helper process for this (see `LaneTrainer`), but
    it knows a group only once the workers are there, and works only where Ray's dashboard runs.
    """
    for group in _groups():
        if _is_ownerless(group):
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))


def is_held(room: PlacementGroup) -> bool:
    """Returns whether a placement group has not been removed."""
    return bool(placement_group_table(room).get("state", "REMOVED") != "REMOVED")


def machines(room: PlacementGroup) -> dict[str, str]:
    """Returns the addresses of the machines that a placement group is on, by their Ray ids."""
    ids = set(placement_group_table(room).get("bundles_to_node_id", {}).values())
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    return {node: nodes.get(node, node) for node in ids if node}


def vanished(nodes: Iterable[str]) -> list[str]:
    """Returns those of some machines, by their Ray ids, that are gone, or are about to go."""
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return [node for node in nodes if node not in alive or node in state.get_draining_nodes()]


def why_none_starts(needs: Mapping[str, float]) -> str:
    """Returns what the lanes of this study are waiting for, as far as Ray knows.

    Args:
        needs: What all workers of a lane take: CPUs and GPUs by Ray's names for them.
    """
    groups = [group for group in _groups() if not _is_ownerless(group)]
    if not groups:
        return "no trial has asked for the resources of one"
    if any(group.state == group.CREATED for group in groups):
        return "workers were given resources, but none of them has got as far as its first sign"
    free, total = ray.available_resources(), ray.cluster_resources()
    parts = [
        f"{need:g} {kind}s ({free.get(kind, 0):g} of {total.get(kind, 0):g} are free)"
        for kind, need in needs.items()
        if need
    ]
    return f"the cluster has no room for one, which takes {' and '.join(parts)}"


def _groups() -> Iterator[Any]:
    """Yields the placement groups that actors of this study have made, as Ray describes them.

    Who made a group is private to Ray: checked with 2.60, tests/sweep/test_placement.py fails if it
    changes.
    """
    # It cannot be pickled, and Ray pickles the modules of actors by their names alone.
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    job = bytes.fromhex(ray.get_runtime_context().get_job_id())
    for raw in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(raw)
        # Tune makes its own in the driver, which is no actor.
        is_lanes = group.creator_job_id == job and not _maker(group).is_nil()
        if is_lanes and group.state != group.REMOVED:
            yield group


def _maker(group: Any) -> ray.ActorID:
    return ray.ActorID(group.creator_actor_id)


def _is_ownerless(group: Any) -> bool:
    from ray.core.generated.gcs_pb2 import ActorTableData

    if group.creator_actor_dead:
        return True
    # A request for a group may reach Ray after the news of its maker's death.
    raw = state.get_actor_info(_maker(group))
    return raw is not None and ActorTableData.FromString(raw).state == ActorTableData.DEAD
