"""Defines the Ray Tune trial: one run (one order), one iteration per stage; its actor owns a lane.

Of thousands of runs a trial stands for some that follow one another, with one iteration for all.

Tune reuses the actor for the next run, so the lane's workers stay loaded from order to order.
"""

import threading
import time
from dataclasses import replace
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorUnavailableError
from ray.train import ControllerError

from sweep.engine.contract import LaneConfig, find_coordinator, group_size
from sweep.engine.lane import run_lane
from sweep.engine.outcomes import Outcome, flat
from sweep.plan.units import Run
from sweep.storage.failures import described
from sweep.study.evaluation import Evaluation

LEAVE_SECONDS = 8.0
"""How long a lane may take to end by itself once it was told to."""
MOST_NOT_STARTED = 20
"""How many lanes whose workers Train could not start a trial tries, before Tune starts the trial
itself anew. What is amiss with machines is found out meanwhile, and they are left out."""


class OrderTrial(tune.Trainable):  # type: ignore[misc]  # mypy skips ray, so the base is Any
    """Reports the stages of one order after the other, whichever lane trained them."""

    def setup(
        self,
        config: dict[str, Any],
        *,
        lane: LaneConfig,
        runs: list[Run],
        evaluation: Evaluation,
    ) -> None:
        """Starts with the first run."""
        self.evaluation = evaluation
        self.lane = self._renamed(lane)
        self.not_started = 0
        self.runs = runs
        self.coordinator = find_coordinator(self.lane)
        self.thread: threading.Thread | None = None
        self.error: BaseException | None = None
        self.reset_config(config)

    def _renamed(self, lane: LaneConfig) -> LaneConfig:
        return replace(lane, lane=f"lane-{self.trial_id}-{time.time_ns():x}")

    def _run_lane(self) -> None:
        try:
            run_lane(self.lane)
        except BaseException as error:  # reported by _ask(), in the thread that Tune watches
            self.error = error

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Goes on with another run, or with others, on the same lane."""
        size = group_size(len(self.runs))
        self.first = new_config["index"] * size
        self.end = min(self.first + size, len(self.runs))
        self.is_group = size > 1
        self.run = self.runs[self.first]
        self.stage = 0
        return True

    def step(self) -> dict[str, Any]:
        """Waits for the next stage of the run, or for all of all runs, and reports it."""
        return self._step_group() if self.is_group else self._step()

    def _step_group(self) -> dict[str, Any]:
        started = time.monotonic()
        ended: dict[str, int] = self._ask("outcomes", self.first, self.end)
        self._ask("may_leave")
        waited = time.monotonic() - started
        return ended | {"average_accuracy": float("nan"), "wait_s": waited, "done": True}

    def _step(self) -> dict[str, Any]:
        self.stage += 1
        started = time.monotonic()
        outcome: Outcome = self._ask("outcome", self.run, self.stage)
        prefix = self.run.order[: self.stage]
        metrics = {
            "stage": self.stage,
            "trained_task": prefix[-1],
            "status": outcome.status,
            "error": outcome.error,
            "average_accuracy": float("nan"),
            "wait_s": time.monotonic() - started,
            "done": outcome.status != "ok" or self.stage == len(self.run.order),
        }
        if outcome.record:
            scores = self.evaluation.task_scores(outcome.record.scores)
            average = sum(scores.values()) / len(scores)
            metrics |= {"average_accuracy": average} | flat(outcome.record)
        if metrics["done"]:
            self._ask("may_leave")
        return metrics

    def _ask(self, question: str, *arguments: object) -> Any:
        """Asks the coordinator until it has an answer, and keeps a lane going meanwhile.

        Where there is work for fewer lanes than there are trials, some have none, and only wait.
        """
        while True:
            try:
                has_ended = self.thread and not self.thread.is_alive()
                if self.error:
                    self._close_lane(self.error)
                elif has_ended:  # there was nothing to do for it
                    self._forget_lane()
                if self._call("open_lane", self.lane.lane) and self.thread is None:
                    self.thread = threading.Thread(target=self._run_lane, daemon=True)
                    self.thread.start()
                answer = self._call(question, *arguments)
            except ActorUnavailableError:  # Ray is restarting it
                answer = None
                time.sleep(1)
            if answer:
                return answer

    def _close_lane(self, error: BaseException) -> None:
        """Makes room for a new lane.

        Raises:
            RuntimeError: the trial has to be started anew as well.
        """
        self._call("close_lane", self.lane.lane, described(error))
        self.not_started += isinstance(error, ControllerError)
        if not isinstance(error, ControllerError) or self.not_started > MOST_NOT_STARTED:
            raise RuntimeError(f"the lane ended: {error}")
        self._forget_lane()

    def _forget_lane(self) -> None:
        self.lane, self.thread, self.error = self._renamed(self.lane), None, None

    def _call(self, question: str, *arguments: object) -> Any:
        return ray.get(getattr(self.coordinator, question).remote(*arguments))

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Saves next to nothing, since the store holds every stage."""
        return {"order": self.run.order}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Reports the order from its start again, so that its history is complete."""
        self.stage = 0

    def cleanup(self) -> None:
        """Lets the lane end."""
        self._call("dismiss", self.lane.lane)
        if self.thread:
            self.thread.join(LEAVE_SECONDS)
