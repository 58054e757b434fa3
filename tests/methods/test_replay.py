"""Properties of experience replay."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from methods.backbones import load_backbone
from methods.data import Batch, Stage
from methods.replay import Replay, ReplayConfig
from tests.methods.conformance import Desk, same, state_in, study_of

MEMORY = 5
ORDER = ("a", "b", "c")


@pytest.fixture(scope="module")
def replay(models: Path) -> Replay:
    return Replay(load_backbone(str(models / "clip")), ReplayConfig(memory=MEMORY))


def meet(replay: Replay, seed: int, **samples: int) -> list[tuple[str, int]]:
    """The memory after tasks with so many samples each, every one of them met twice."""
    replay.reset(0)
    for k in range(1, len(samples) + 1):
        prefix = tuple(samples)[:k]
        ids = torch.arange(samples[prefix[-1]])
        stage = Stage(
            prefix=prefix,
            tasks={},
            batch_size=4,
            seed=seed + k,
            replicate_seed=seed,
            stream=[(prefix[-1], part) for part in [*ids.split(4), *ids.split(4)]],
        )
        replay.after_task(stage)
    return replay.memory


def test_every_sample_met_is_kept_with_equal_probability(replay: Replay) -> None:
    draws, met = 1500, 20
    kept = Counter(item for seed in range(draws) for item in meet(replay, 10 * seed, a=12, b=8))
    assert len(kept) == met
    expected = draws * MEMORY / met
    # Draws without replacement: the variance of a count is smaller than Poisson's.
    statistic = sum((n - expected) ** 2 for n in kept.values()) / expected
    statistic *= (met - 1) / (met - MEMORY)
    assert chi2.sf(statistic, met - 1) > 1e-3


def test_memory_is_full_but_never_over_full(replay: Replay) -> None:
    assert sorted(meet(replay, 0, a=3)) == [("a", 0), ("a", 1), ("a", 2)]
    assert len(set(meet(replay, 0, a=3, b=1))) == 4
    assert len(set(meet(replay, 0, a=30, b=10, c=10))) == MEMORY


def test_state_holds_ids_and_no_pixels(replay: Replay) -> None:
    meet(replay, 0, a=30, b=10)
    extra = replay.extra_state()
    assert {tensor.dtype for tensor in extra.values()} == {torch.int64}
    assert sum(tensor.numel() for tensor in extra.values()) == 1 + 2 * MEMORY


def test_memory_returns_to_its_slots(replay: Replay) -> None:
    memory = list(meet(replay, 3, a=30, b=10))
    extra = replay.extra_state()
    meet(replay, 4, c=9)
    replay.load_extra_state(extra)
    assert replay.memory == memory
    assert replay.seen == 40


def test_first_task_is_plain_finetuning(models: Path) -> None:
    study = study_of(models, "clip")
    first, plain = (
        state_in(next(iter(Desk(study, method).learn(ORDER).values())))
        for method in ("replay", "finetune")
    )
    assert same({name: first[name] for name in first if name.startswith("weights/")}, plain)


def test_a_step_replays_as_many_samples_as_it_learns(models: Path) -> None:
    desk = Desk(study_of(models, "clip"), "replay")
    desk.learn(ORDER)
    met: Counter[str] = Counter()
    backbone = desk.worker.learner.backbone
    loss = backbone.loss

    def counting(*batches: Batch) -> Tensor:
        for batch in batches:
            met[batch.task.name] += len(batch)
        return loss(*batches)

    vars(backbone)["loss"] = counting
    desk.learn(ORDER)
    of_a_stage = 6 * 16
    assert met.total() == (1 + 2 + 2) * of_a_stage
    assert met["c"] == of_a_stage
