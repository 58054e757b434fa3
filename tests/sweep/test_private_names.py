"""Names that Ray does not promise to keep, and that the engine relies on: checked with 2.60."""

import inspect

import pytest
from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray._private.ray_constants import ENABLE_RAY_CLUSTERS_ENV_VAR, RAY_WORKER_NICENESS
from ray._raylet import RAY_NODE_ID_KEY
from ray.air import constants as air
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal import constants as train
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.tune.constants import TUNE_ENV_VARS

from sweep.engine.cluster import ENVIRONMENT, HEAD, ON_ONE_MACHINE
from sweep.engine.lane import MACHINE, UNUSED, AsksOnce, LaneTrainer

NOT_LISTED = {"RAY_enable_metrics_collection"}
"""Ray reads it in C++, where no list of such names can be read from Python."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # by Ray, of itself
def test_a_lane_has_every_callback_of_train_but_two() -> None:
    """If Ray renames them this fails, and lanes have the two helpers again."""

    def callbacks(kind: type[TorchTrainer]) -> list[str]:
        trainer = kind(print, scaling_config=ScalingConfig(num_workers=1))
        return [type(one).__name__ for one in trainer._create_default_callbacks()]

    usual = callbacks(TorchTrainer)
    assert set(UNUSED) <= set(usual)
    assert callbacks(LaneTrainer) == [name for name in usual if name not in UNUSED]


def test_train_asks_at_every_start_of_workers_where_they_may_be() -> None:
    hook = "on_controller_start_worker_group"
    asked = inspect.signature(getattr(ControllerCallback, hook)).parameters
    assert list(asked) == ["self", "scaling_config", "num_workers"]
    assert hook in inspect.getsource(TrainController._start_worker_group)
    assert "after_controller_state_update" in inspect.getsource(TrainController._set_state)
    assert MACHINE == RAY_NODE_ID_KEY


def test_lanes_do_not_have_the_autoscaler_hold_nodes() -> None:
    """If Train asks it in another way this fails; idle nodes would stay until the study ends."""
    asking = {"_send_resource_request", "_maybe_send_resource_request"}
    asks = {
        name
        for name, method in inspect.getmembers(FixedScalingPolicy, inspect.isfunction)
        if any(f"self.{one}(" in inspect.getsource(method) for one in asking)
    }
    decisions = {f"make_decision_for_{state}_worker_group" for state in ("running", "non_running")}
    assert asks == {"after_controller_start"} | decisions
    assert "scaling_policy=create_scaling_policy" in inspect.getsource(TorchTrainer.fit)
    assert "_initialize_and_run_controller(" in inspect.getsource(TorchTrainer.fit)
    policy = AsksOnce(ScalingConfig(num_workers=2))
    policy.after_controller_start(object())
    decision = policy.make_decision_for_non_running_worker_group()
    assert decision.num_workers == 2
    assert policy._coordinator_client is None
    policy._cancel_resource_request()


def test_the_head_has_the_resource_of_this_name() -> None:
    assert HEAD == HEAD_NODE_RESOURCE_NAME


def test_ray_reads_the_variables_that_a_study_sets() -> None:
    known = TUNE_ENV_VARS | set(air.AIR_ENV_VARS)
    known |= {RAY_WORKER_NICENESS, ENABLE_RAY_CLUSTERS_ENV_VAR}
    known |= {train.HEALTH_CHECK_INTERVAL_S_ENV_VAR, train.ENABLE_PREEMPTION_WATCHER_ENV_VAR}
    rays = {
        name for name in ENVIRONMENT | ON_ONE_MACHINE if not name.startswith(("MALLOC", "GLOO"))
    }
    assert rays - known == NOT_LISTED
