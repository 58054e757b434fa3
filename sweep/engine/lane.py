"""Runs a lane: a long-lived Ray Train job that computes unit after unit, run after run.

Besides its workers a Train job has helper processes, and so has a Tune trial. They import this
module, so it imports neither torch nor models, which would cost each of them seconds.
"""

import time
from typing import Any

import ray
from ray import train
from ray.exceptions import ActorUnavailableError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.state import ErroredState
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy

from sweep.engine.contract import LaneConfig, find_coordinator, leave_here
from sweep.engine.placement import free_own
from sweep.storage.folder import Folder

UNUSED = ("DatasetsCallback", "PlacementGroupCleanerCallback")
"""Callbacks of Train that a lane goes without."""
MAX_RESTARTS = 100
"""Most restarts of a lane's workers; the scheduler limits the attempts at every single unit, and
machines on which they do not start are left out."""
MACHINE = "ray.io/node-id"
"""Ray's label of every machine: its id."""


class StartsElsewhere(ControllerCallback):  # type: ignore[misc]  # as below
    """Starts a lane's workers on machines that are not left out, whenever Train starts them.

    The hooks are meant for developers of Ray: checked with 2.60, tests/sweep/test_private_names.py
    and test_bad_machines.py fail if they change.
    """

    def __init__(self, config: LaneConfig) -> None:
        self._config = config

    def on_controller_start_worker_group(self, **_: object) -> dict[str, str] | None:
        """Returns the label that the machines must not have; None: any will do."""
        free_own()
        while True:
            try:
                left_out: list[str] = ray.get(find_coordinator(self._config).left_out.remote())
            except ActorUnavailableError:  # Ray is restarting it
                time.sleep(1)
            else:
                return {MACHINE: f"!in({','.join(left_out)})"} if left_out else None

    def after_controller_state_update(self, previous_state: object, current_state: object) -> None:
        """Frees what the workers had of a job that has failed."""
        if isinstance(current_state, ErroredState):
            free_own()


class AsksOnce(FixedScalingPolicy):  # type: ignore[misc]  # as below
    """Asks for resources by a lane's placement group alone, which is enough for a cluster to grow.

    Train would also have Ray's autoscaler hold as many resources as all lanes take. It holds idle
    nodes for that, while lanes keep others busy, so that none is let go before the study ends; and
    it is one more process on the head.
    """

    def after_controller_start(self, train_run_context: object) -> None:
        """Asks for nothing yet."""

    def _maybe_send_resource_request(self) -> None:
        """Asks for nothing more."""


class LaneTrainer(TorchTrainer):  # type: ignore[misc]  # mypy skips ray, so the base is Any
    """A TorchTrainer without two of its helpers, processes of 0.1 GB each beside every lane.

    One hands out Ray data sets, of which a lane has none; the other frees a dead lane's resources,
    which the coordinator does (`sweep.engine.placement.free_ownerless`).
    """

    def _create_default_callbacks(self) -> list[Any]:
        # Private to Ray, checked with 2.60. If the names change a lane merely has the helpers
        # again, and tests/sweep/test_private_names.py fails.
        callbacks = super()._create_default_callbacks()
        return [one for one in callbacks if type(one).__name__ not in UNUSED]

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        # As private, and as well tested.
        if "scaling_policy" in given:
            given["scaling_policy"] = AsksOnce(self.scaling_config)
        return super()._initialize_and_run_controller(**given)


def run_lane(config: LaneConfig) -> None:
    """Runs a lane until there is no work left for it."""
    resources = {"CPU": config.cpus_per_worker, "GPU": config.gpus_per_worker}
    folder = Folder(config.out)
    LaneTrainer(
        _loop,
        train_loop_config={"lane": config},
        scaling_config=train.ScalingConfig(
            num_workers=config.workers,
            use_gpu=config.gpus_per_worker > 0,
            resources_per_worker={kind: count for kind, count in resources.items() if count},
        ),
        run_config=train.RunConfig(
            name=config.lane,
            storage_path=folder.join("tune", "lanes"),
            storage_filesystem=folder.filesystem,
            callbacks=[StartsElsewhere(config)],
            failure_config=train.FailureConfig(max_failures=MAX_RESTARTS),
        ),
    ).fit()


def _loop(setup: dict[str, LaneConfig]) -> None:
    config = setup["lane"]
    try:
        from sweep.engine.lane_worker import work
    except ImportError as error:
        if leave_here(config, f"a lane cannot start: {error}"):
            raise  # Train starts the lane anew
        return
    work(config)
