"""Trains one order in this process, without Ray: for a debugger, and to check the engine."""

from contextlib import ExitStack

import pandas as pd

from methods.base import State
from sweep.errors import InputError, unknown
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan, save
from sweep.orders.given import Fixed
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Result, Worker
from sweep.storage.lock import RunLock
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Record
from sweep.study.evaluation import Evaluation
from sweep.study.schema import Lanes, Study


def plan_single(
    study: Study, method: str, order: Order, replicate: int, backbone: str | None
) -> Plan:
    """Returns the plan of one run of a study; its units keep their keys.

    Raises:
        InputError: the study has no such method, backbone, replicate or tasks.
    """
    if method not in study.methods:
        raise unknown("method of this study", method, study.methods)
    backbone = backbone or next(iter(study.backbones))
    if backbone not in study.backbones:
        raise unknown("backbone of this study", backbone, study.backbones)
    if not 0 <= replicate < study.replicates:
        raise InputError(
            f"replicate {replicate}: the study has replicates 0 to {study.replicates - 1}."
        )
    tasks = study.benchmark.task_names()
    for task in order:
        if task not in tasks:
            raise unknown("task in the order", task, tasks)
    single = study.model_copy(
        update={
            "backbones": {backbone: study.backbones[backbone]},
            "methods": {method: study.methods[method]},
            "design": Fixed(orders=(order,), all_tasks=False),
            "replicates": replicate + 1,
            "lanes": Lanes(
                cpus_per_worker=study.lanes.cpus_per_worker,
                gpus_per_worker=study.lanes.gpus_per_worker,
            ),
        }
    )
    plan = make_plan(single)
    run = plan.runs[-1]
    own = {key for stage in run.stages for key in (*plan.units[stage].parents, stage)}
    plan.runs, plan.blocks = [run], plan.blocks[-1:]
    plan.units = {key: unit for key, unit in plan.units.items() if key in own}
    return plan


def run_single(
    study: Study,
    method: str,
    order: Order,
    replicate: int = 0,
    backbone: str | None = None,
    out: str | None = None,
) -> tuple[list[Record], State | None]:
    """Trains one order in this process, without Ray.

    Args:
        study: Everything but the order.
        method: Label of a method of the study.
        order: Any order of some of the study's tasks, planned or not.
        replicate: Number of the replicate whose seed to use.
        backbone: Label of a backbone of the study; default: the first.
        out: Folder or URI for all that `sweep run` writes; default: write nothing.

    Returns:
        The records of stages 0..T and the state after the last.

    Raises:
        InputError: the study has no such method, backbone, replicate or tasks.

    >>> from sweep import Study
    >>> world = {"name": "world", "tasks": ["shapes", "colors"], "train": 16, "test": 8}
    >>> study = Study.from_dict(
    ...     {
    ...         "name": "tiny",
    ...         "benchmark": world,
    ...         "backbones": ["tiny-clip"],
    ...         "methods": ["finetune"],
    ...         "training": {"steps": 1, "batch_size": 8},
    ...     }
    ... )
    >>> records, state = run_single(study, "finetune", ("colors", "shapes"))
    >>> len(records), records[-1].scores[0]["eval_task"]
    (3, 'shapes')
    """
    plan = plan_single(study, method, order, replicate, backbone)
    check_inputs(plan)
    run_folder = RunFolder(out, plan) if out else None
    with ExitStack() as stack:
        if run_folder:
            # What it writes does not take the place of stages made from other inputs.
            run_folder.check(accepts_changes=True)
            stack.enter_context(RunLock(run_folder.folder))
            run_folder.prepare()
            save(plan, run_folder.folder)
        results = _compute(plan, run_folder)
        if run_folder:
            run_folder.flush(plan.units, {})
            run_folder.write_manifest(lanes=1)
    stages = [results[key] for key in plan.runs[0].stages]
    return [stage.record for stage in stages], stages[-1].state


def _compute(plan: Plan, run_folder: RunFolder | None) -> dict[str, Result]:
    worker = Worker(plan.study, plan.pinned, join_lane(plan.study))
    results: dict[str, Result] = {}

    def state_of(key: str) -> State:
        state = results[key].state
        assert state is not None
        return state

    for key, unit in plan.units.items():
        results[key] = worker.compute(unit, state_of)
        if run_folder:
            run_folder.store.save(results[key].record, results[key].state, results[key].embeddings)
    return results


def matrix(order: Order, records: list[Record], evaluation: Evaluation) -> pd.DataFrame:
    """Returns the matrix of scores: a row per stage, a column per task in order of learning."""
    rows = [evaluation.task_scores(record.scores) for record in records]
    return pd.DataFrame(rows, index=["untouched", *order])[list(order)]
