"""Tells how far a run is from its folder alone: needs neither data nor models nor Ray."""

import shlex

from sweep.plan.scheduler import Scheduler
from sweep.storage.damage import find_damage
from sweep.storage.folder import Folder
from sweep.storage.lock import RunLock
from sweep.storage.planned import read_plan
from sweep.storage.store import Store
from sweep.texts import plural


def status(out: str) -> str:
    """Returns one sentence on how far the run in a folder is.

    Args:
        out: The folder or URI of a run.

    Raises:
        InputError: the folder holds no run.

    >>> status("nowhere")
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: Folder '...nowhere' does not exist; give the folder of a run, ...
    """
    folder = Folder(out)
    plan, graph = read_plan(folder)
    store = Store(out, graph.evaluations)
    damaged = find_damage(store).stages
    finished = {k: kept for k, kept in store.finished(graph.units).items() if k not in damaged}
    scheduler = Scheduler(graph, finished, lease=0.0)
    stopped = plan["stopped"]
    if stopped:
        scheduler.stop_after(stopped["replicates"])
    name, done, total = (
        plan["study"],
        len(scheduler.done),
        len(scheduler.done) + len(scheduler.todo),
    )
    if not scheduler.todo:
        why = f" ({stopped['reason']})" if stopped else ""
        return f"{name}: all {total} stages are done{why}. Report: sweep report {out}"
    said = f"{name}: {done} of {total} stages are done"
    if again := len(damaged & graph.units.keys()):
        said += f" ({plural(again, 'stage')} damaged, to be computed again)"
    if other := RunLock(folder).other():
        return f"{said}; {other[0]} is working on the rest."
    source = "STUDY" if "://" in out else shlex.quote(f"{out.rstrip('/')}/study.yaml")
    return f"{said}. Resume with: sweep run {source} --out {shlex.quote(out)}"
