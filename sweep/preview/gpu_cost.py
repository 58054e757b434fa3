"""Says what the GPUs of a cluster cost that a study would run on."""

from dataclasses import asdict, dataclass
from typing import Any

from sweep.errors import InputError
from sweep.preview.cost import CostEstimate
from sweep.preview.prices import priced
from sweep.study.schema import Lanes
from sweep.texts import duration, plural

_ROUNDING = 1e-9
"""0.1 of a GPU fits ten times, whatever its binary digits."""


@dataclass(frozen=True)
class GpuCost:
    """GPU-hours of a study on so many GPUs, and what they cost."""

    gpus: int
    lanes: int
    """Those that the GPUs hold, or as many as the study has use for."""
    seconds: float
    """Wall time."""
    gpu_hours: float
    """If all GPUs are paid for from start to end."""
    busy_gpu_hours: float
    """If machines are let go as soon as their lanes have nothing to do."""
    price: float | None
    """Of a GPU-hour, in any currency; None: not given."""
    is_recorded: bool
    """Whether stages that a run has finished say what a stage takes; else this machine does."""

    @property
    def cost(self) -> float | None:
        """What `gpu_hours` cost; None without a price."""
        return None if self.price is None else self.gpu_hours * self.price

    @property
    def busy_cost(self) -> float | None:
        """What `busy_gpu_hours` cost; None without a price."""
        return None if self.price is None else self.busy_gpu_hours * self.price

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        return asdict(self) | {"cost": self.cost, "busy_cost": self.busy_cost}

    def sentence(self) -> str:
        """Returns what it takes, and how to correct for other GPUs."""
        each = "" if self.price is None else f", at {self.price:g} per GPU-hour"
        whose = (
            "That is by the times of stages that this run has finished; if they ran on another "
            "kind of GPU, plan with a new --out on a machine of the right kind."
            if self.is_recorded
            else "That is with GPUs as fast as what is in this machine; to correct for that, plan "
            "on a machine of their kind, or with the --out of a run that has finished stages on "
            "one, whose times are then used."
        )
        return (
            f"On {plural(self.gpus, 'GPU')} ({plural(self.lanes, 'lane')}){each}: about "
            f"{duration(self.seconds)} and {priced(self.gpu_hours, 'GPU-hours', self.cost)} if all "
            f"are paid for from start to end, "
            f"{priced(self.busy_gpu_hours, 'GPU-hours', self.busy_cost)} if idle machines are let "
            f"go. {whose}"
        )


def lanes_on(gpus: int, lanes: Lanes, runs: int) -> int:
    """Returns how many lanes a study has on so many GPUs.

    Args:
        gpus: GPUs of the cluster.
        lanes: As the study asks for them; "auto" is one GPU per worker.
        runs: Number of runs: more lanes would have nothing to do.

    Raises:
        InputError: the GPUs hold no lane, or lanes take no GPU.
    """
    each = gpus_of_a_worker(lanes)
    if not each:
        raise InputError(
            "--gpus needs lanes that take GPUs, and lanes.gpus_per_worker is 0 in this study; "
            "leave --gpus out, or add --set lanes.gpus_per_worker=1."
        )
    # Parts of a GPU that are left over on each serve no worker.
    workers = gpus * int(1 / each + _ROUNDING) if each <= 1 else int(gpus / each + _ROUNDING)
    room = workers // lanes.workers
    if room < 1:
        raise InputError(
            f"--gpus {gpus} holds no lane: a lane of this study takes "
            f"{each * lanes.workers:g} GPUs (lanes.workers x lanes.gpus_per_worker); give more, or "
            f"reduce these."
        )
    return min(room, runs, lanes.count if isinstance(lanes.count, int) else room)


def gpus_of_a_worker(lanes: Lanes) -> float:
    """Returns the GPUs that a worker takes where there are some."""
    return 1.0 if isinstance(lanes.gpus_per_worker, str) else lanes.gpus_per_worker


def gpu_cost(
    gpus: int,
    price: float | None,
    lanes: Lanes,
    count: int,
    expected: CostEstimate,
    is_recorded: bool,
) -> GpuCost:
    """Returns what a study costs on so many GPUs.

    Args:
        gpus: GPUs of the cluster.
        price: Of a GPU-hour.
        lanes: As the study asks for them.
        count: Lanes on these GPUs, see `lanes_on`.
        expected: What the study takes on so many lanes.
        is_recorded: Whether all times are those of finished stages.
    """
    of_a_lane = lanes.workers * gpus_of_a_worker(lanes)
    return GpuCost(
        gpus=gpus,
        lanes=count,
        seconds=expected.seconds,
        gpu_hours=gpus * expected.seconds / 3600,
        busy_gpu_hours=of_a_lane * expected.lane_seconds / 3600,
        price=price,
        is_recorded=is_recorded,
    )
