"""Training a unit: which samples, which learning rates, and what stops it."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from methods.seeds import derive_seed
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench
from sweep.errors import EndedError
from sweep.stage.steps.optimising import rate
from sweep.stage.trainer import Trainer, draw_stream, join_lane
from sweep.storage.failures import last_frame
from sweep.study.pinned import pin
from sweep.study.schema import Study
from tests.methods.shipped import study_of

SIZES = st.integers(1, 40)


def drawn(size: int, steps: int, batch: int, seed: int) -> torch.Tensor:
    return torch.cat([ids for _, ids in draw_stream({"a": size}, {"a": steps}, batch, seed)])


@given(size=SIZES, steps=st.integers(1, 12), batch=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_epoch_is_a_permutation(size: int, steps: int, batch: int, seed: int) -> None:
    ids = drawn(size, steps, batch, seed)
    assert len(ids) == steps * batch
    for epoch in ids.split(size)[:-1]:
        assert sorted(epoch.tolist()) == list(range(size))
    rest = ids.split(size)[-1].tolist()
    assert len(set(rest)) == len(rest)


def test_epochs_and_seeds_differ() -> None:
    first, second = drawn(30, 2, 30, seed=0).split(30)
    assert not torch.equal(first, second)
    assert not torch.equal(first, drawn(30, 1, 30, seed=1))


@given(size=SIZES, steps=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_stream_is_a_function_of_its_arguments(size: int, steps: int, seed: int) -> None:
    torch.manual_seed(seed + 1)
    assert torch.equal(drawn(size, steps, 4, seed), drawn(size, steps, 4, seed))


def test_a_longer_stream_begins_as_the_shorter_one() -> None:
    assert torch.equal(drawn(10, 9, 4, seed=3)[:20], drawn(10, 5, 4, seed=3))


@given(steps=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=2))
def test_tasks_are_mixed_and_each_keeps_its_own_stream(steps: dict[str, int]) -> None:
    sizes = {task: 7 + i for i, task in enumerate(sorted(steps))}
    together = draw_stream(sizes, steps, 3, seed=5)
    assert Counter(task for task, _ in together) == steps
    for task, count in steps.items():
        mixed = sorted(tuple(ids.tolist()) for name, ids in together if name == task)
        alone = draw_stream({task: sizes[task]}, {task: count}, 3, seed=5)
        assert mixed == sorted(tuple(ids.tolist()) for _, ids in alone)


def test_mixed_tasks_are_shuffled() -> None:
    names = [task for task, _ in draw_stream({"a": 9, "b": 9}, {"a": 20, "b": 20}, 2, seed=0)]
    assert names != sorted(names)


def learning_rates(models: Path, **training: object) -> list[float]:
    """Of every step of task b in the order a, b."""
    given = {"steps": 8, "batch_size": 16, "lr": 0.1} | training
    bench = Workbench(study_of(models, "clip", training=given), "finetune")
    unit = bench.units(("a", "b", "c"))[1]
    bench.learn(("a", "b", "c"))
    trainer = bench.worker.trainer
    stream = trainer._stage(unit).stream
    settings = trainer.study.training
    return [rate(settings, trainer.lr, step, stream) for step in range(len(stream))]


def test_learning_rate_warms_up_and_falls_to_zero(models: Path) -> None:
    rates = learning_rates(models, warmup_steps=3)
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_warm_up_is_a_tenth_of_a_task_by_default(models: Path) -> None:
    rates = learning_rates(models, steps=20, per_task={"b": {"steps": 30}})
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[4] < rates[3]


def test_learning_rate_belongs_to_the_task(models: Path) -> None:
    special = {"per_task": {"b": {"lr": 0.5, "steps": 4}}}
    rates = learning_rates(models, **special)
    assert len(rates) == 4
    assert rates[0] == 0.5


def test_a_loss_that_is_not_finite_is_an_error(models: Path) -> None:
    training = {"steps": 3, "batch_size": 16, "lr": 1e18}
    bench = Workbench(study_of(models, "clip", training=training), "finetune")
    with pytest.raises(FloatingPointError, match="in 2 of 3 steps of training 'a'; lower"):
        bench.learn(("a", "b", "c"))


def spoilt(models: Path, label: str, **options: object) -> Workbench:
    methods = {"spoilt": {"method": f"tests.faulty:{label}", **options}}
    return Workbench(toy_study(models, methods), "spoilt")


@pytest.mark.parametrize(
    ("what", "named"),
    [("weight", "backbone.model"), ("extra", "'memory'"), ("buffer", "'mean'")],
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_not_finite_fails_the_stage_that_left_it(
    models: Path, what: str, named: str, value: str
) -> None:
    bench = spoilt(models, "Spoils", what=what, value=value)
    first, second, _ = bench.units(("a", "b", "c"))
    state = bench.worker.compute(first, lambda _: {}).state
    assert state is not None
    with pytest.raises(
        FloatingPointError, match="training 'b' left NaN or infinite values in"
    ) as error:
        bench.worker.compute(second, lambda _: state)
    assert named in str(error.value)
    assert "of Spoils (1)" in str(error.value)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("extra", "Counts.extra_state() returned an int as 'learnt'; it"),
        ("whole", "Counts.extra_state() returned a list; it"),
        ("name", "Counts.extra_state() returned an int as a name; it"),
        ("state", "Counts.state() returned an int as 'learnt'; it"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_a_state_of_other_things_than_tensors_names_the_contract(
    models: Path, where: str, said: str, early: bool
) -> None:
    with pytest.raises(TypeError, match="has to return a dictionary of tensors") as error:
        spoilt(models, "Counts", where=where, early=early).learn(("a", "b", "c"))
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("how", ["exit", "interrupt"])
def test_a_method_cannot_end_its_process(models: Path, how: str) -> None:
    bench = spoilt(models, "Leaves", how=how)
    said: list[BaseException] = []

    def learn() -> None:
        try:
            bench.learn(("a", "b", "c"))
        except BaseException as error:
            said.append(error)

    lane = threading.Thread(target=learn)  # as in a lane; signals come to the main thread alone
    lane.start()
    lane.join()
    assert [type(error) for error in said] == [EndedError]
    assert "faulty.py:" in last_frame(said[0])


def test_what_is_infinite_from_the_start_may_stay_so(models: Path) -> None:
    bench = spoilt(models, "Spoils", what="mask", value="-inf")
    assert len(bench.learn(("a", "b", "c"))) == 3


def test_combined_states_that_are_not_finite_fail_the_stage(models: Path) -> None:
    bench = spoilt(models, "CombinesToNaN")
    with pytest.raises(
        FloatingPointError, match=r"combining 'a > b' left NaN .*, and in \d+ other tensors\)"
    ):
        bench.learn(("a", "b", "c"))


def test_a_worker_fails_where_another_one_does(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(study_of(models, "clip"), "finetune")
    others = [("backbone.model.there", 7)]

    def gathered(mine: list[Any]) -> list[Any]:
        return mine if mine and isinstance(mine[0], int) else [*mine, *others]

    monkeypatch.setattr("sweep.stage.trainer.gather_object", gathered)
    with pytest.raises(FloatingPointError, match=r"in 'backbone\.model\.there' of FineTune \(7\)"):
        bench.learn(("a", "b", "c"))


@pytest.mark.parametrize(
    ("diagnostic", "message"),
    [
        ("Undefined", "the score mine/share on 'a' is nan"),
        ("Blown", "an embedding of image of 'a' has 1 values"),
    ],
)
def test_no_score_and_no_embedding_is_nan(models: Path, diagnostic: str, message: str) -> None:
    study = toy_study(models, evaluation={"diagnostics": [f"tests.faulty:{diagnostic}"]})
    with pytest.raises(FloatingPointError, match=message):
        Workbench(study, "finetune").learn(("a", "b", "c"))


def test_a_loss_that_is_not_finite_in_another_worker_fails_all(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(study_of(models, "clip"), "finetune")
    monkeypatch.setattr("sweep.stage.trainer.gather_object", lambda mine: [*mine, 4])
    with pytest.raises(FloatingPointError, match="NaN or infinite in 4 of 6 steps"):
        bench.learn(("a", "b", "c"))


def test_what_ran_before_does_not_matter(models: Path) -> None:
    """Not even to what draws from torch's own generator."""
    bench = Workbench(toy_study(models, {"lora": {"dropout": 0.5}}), "lora")
    first, *_ = bench.units(("a", "b", "c"))
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(bench.worker.compute(first, lambda _: {}).state)
    assert states[0]
    assert states[1]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_seeds_are_stable() -> None:
    """All results hang on them."""
    assert derive_seed(0, "replicate", 1) == 6508790911784911818


def test_prepared_images_are_kept_when_another_task_changes(tmp_path: Path) -> None:
    """Only the images that are new are decoded and resized again."""
    for task in ("alpha", "beta"):
        for part in ("train", "test"):
            for label in ("small red square", "large blue circle"):
                folder = tmp_path / "data" / task / part / label
                folder.mkdir(parents=True)
                Image.new("RGB", (40, 50), (len(task + part + label), 9, 9)).save(folder / "0.png")

    def prepared() -> set[str]:
        study = Study.from_dict(
            {
                "name": "kept",
                "benchmark": {"name": "folder", "path": str(tmp_path / "data")},
                "backbones": ["tiny-clip"],
                "methods": ["finetune"],
            }
        )
        source = pin(study).sources["tiny-clip"]
        loaded, cache = study.benchmark.load(), tmp_path / "cache"
        entry = study.methods["finetune"]
        trainer = Trainer(study, entry, source, loaded, join_lane(study), cache)
        for task in loaded.tasks.values():
            trainer.pixels("train", task)
            trainer.pixels("test", task)
        return {file.name for file in cache.glob("*.npy")}

    before = prepared()
    assert len(before) == 4
    folder = tmp_path / "data" / "beta" / "train" / "small red square"
    Image.new("RGB", (40, 50)).save(folder / "1.png")
    assert len(prepared()) == 5
