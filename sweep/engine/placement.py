"""Finds the resources that lanes hold; frees those whose owner has died.

Train's controller makes a placement group before it starts a lane's workers in it. Ray knows from
then on which actor made the group, but keeps a group whose maker has died, or that is still
waiting for resources then, until the whole study ends.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import ray
from ray._private.state import state
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

from sweep.engine.contract import LaneLimits
from sweep.texts import plural

WORKER_DIED, TOLD_TO = 1, "INTENDED_SYSTEM_EXIT"
"""Ray's number for the death of an actor whose process has ended, and what it says of one that Ray
has ended, as when its placement group is removed."""


def free_ownerless() -> list[str]:
    """Frees the placement groups of this study whose makers have died, granted or not.

    Returns their ids.

    All that this takes is known to Ray, so it does not matter whether the coordinator that calls it
    was there when the group was made. Train has a helper process for this (see `LaneTrainer`), but
    it knows a group only once the workers are there, and works only where Ray's dashboard runs.
    """
    return [_free(group) for group in _groups() if _is_there(group) and _is_ownerless(group)]


def free_own() -> None:
    """Frees the placement groups that this process, Train's controller of a lane, has made.

    Train forgets a group whose workers fail while it sets up their process group.
    """
    here = ray.get_runtime_context().get_actor_id()
    for group in _groups():
        if _is_there(group) and _maker(group).hex() == here:
            _free(group)


def _is_there(group: Any) -> bool:
    return bool(group.state != group.REMOVED)


def _free(group: Any) -> str:
    room = ray.PlacementGroupID(group.placement_group_id)
    remove_placement_group(PlacementGroup(room))
    return str(room.hex())


def ended() -> dict[str, set[str]]:
    """Returns the machines on which lanes of this study have ended, by their placement groups."""
    return {
        group.placement_group_id.hex(): {bundle.node_id.hex() for bundle in group.bundles}
        for group in _groups()
        if not _is_there(group) and all(bundle.node_id for bundle in group.bundles)
    }


def crashed(room: str) -> set[str]:
    """Returns the machines on which worker processes of a placement group have died by themselves.

    Train ends the others; Ray knows the difference.
    """
    from ray.core.generated.gcs_pb2 import ActorTableData

    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    accessor = state._connect_and_get_accessor()
    actors = map(ActorTableData.FromString, accessor.get_actor_table(job, "DEAD"))
    found = set()
    for actor in actors:
        death = actor.death_cause.actor_died_error_context
        is_crash = death.reason == WORKER_DIED and TOLD_TO not in death.error_message
        if is_crash and actor.placement_group_id.hex() == room:
            found.add(actor.node_id.hex())
    return found


def is_held(room: PlacementGroup) -> bool:
    """Returns whether a placement group has not been removed."""
    return bool(placement_group_table(room).get("state", "REMOVED") != "REMOVED")


def machines(room: PlacementGroup) -> dict[str, str]:
    """Returns the addresses of the machines that a placement group is on, by their Ray ids."""
    ids = set(placement_group_table(room).get("bundles_to_node_id", {}).values())
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    return {node: nodes.get(node, node) for node in ids if node}


def title_of(machine: str) -> str:
    """Returns the address and the name of a machine."""
    for node in ray.nodes():
        if node["NodeID"] == machine:
            return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
    return machine


def is_alone() -> bool:
    """Returns whether the cluster is a single machine."""
    return len([node for node in ray.nodes() if node["Alive"]]) == 1


def room_on(limits: LaneLimits) -> dict[str, int]:
    """Returns how many workers the machines that are there can hold, if they can hold any.

    Whatever they hold now: that may end.
    """
    needs = {kind: need / limits.workers for kind, need in limits.needs.items() if need}
    found = {
        node["NodeID"]: min(
            (int(node["Resources"].get(kind, 0) / need) for kind, need in needs.items()),
            default=limits.workers,
        )
        for node in ray.nodes()
        if node["Alive"]
    }
    return {machine: count for machine, count in found.items() if count}


def vanished(nodes: Iterable[str]) -> list[str]:
    """Returns those of some machines, by their Ray ids, that are gone, or are about to go."""
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return [node for node in nodes if node not in alive or node in state.get_draining_nodes()]


def why_none_starts(limits: LaneLimits, left_out: int) -> str:
    """Returns what the lanes of this study are waiting for, as far as Ray knows.

    Args:
        limits: What a lane takes.
        left_out: Number of machines that lanes are not started on.
    """
    groups = [group for group in _groups() if _is_there(group) and not _is_ownerless(group)]
    if not groups:
        return "no trial has asked for the resources of one"
    if any(group.state == group.CREATED for group in groups):
        return "workers were given resources, but none of them has got as far as its first sign"
    free, total = ray.available_resources(), ray.cluster_resources()
    parts = [
        f"{need:g} {kind}s ({free.get(kind, 0):g} of {total.get(kind, 0):g} are free)"
        for kind, need in limits.needs.items()
        if need
    ]
    without = f", without {plural(left_out, 'machine')} left out" if left_out else ""
    return f"the cluster has no room for one, which takes {' and '.join(parts)}{without}"


def _groups() -> Iterator[Any]:
    """Yields the placement groups that actors of this study have made, as Ray describes them.

    Those that were removed are among them. What Ray knows of groups and of dead actors is private
    to it: checked with 2.60, tests/sweep/test_placement.py fails if it changes.
    """
    # It cannot be pickled, and Ray pickles the modules of actors by their names alone.
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    job = bytes.fromhex(ray.get_runtime_context().get_job_id())
    for raw in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(raw)
        # Tune makes its own in the driver, which is no actor.
        if group.creator_job_id == job and not _maker(group).is_nil():
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
