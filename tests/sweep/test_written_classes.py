"""Classes of the made world and of pictures, written in answer to a question."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.backbones import load_backbone
from methods.testing.tiny_models import save_llava
from sweep.errors import InputError
from sweep.preview.preview import make_preview
from sweep.single import run_single
from sweep.study.schema import Study
from sweep.tasks.base import BenchmarkConfig
from sweep.tasks.pictures.real_pictures import Pictures
from sweep.tasks.world import Dial, World

BOTH: list[tuple[type[BenchmarkConfig], dict[str, Any]]] = [
    (World, {"tasks": ("shapes", "colors"), "train": 24, "test": 12}),
    (Dial, {"num_tasks": 2, "train": 12, "test": 12}),
    (Pictures, {"tasks": ("cards", "people"), "train": 12, "test": 12}),
]


@pytest.mark.parametrize(("config", "settings"), BOTH)
def test_pictures_and_questions_are_the_same_and_classes_are_the_answers(
    config: type[BenchmarkConfig], settings: dict[str, Any]
) -> None:
    chosen = config(**settings).load()
    written = config(**settings, kind="answers").load()
    assert list(chosen.tasks) == list(written.tasks)
    assert list(chosen.probes) == list(written.probes)
    for name, task in {**chosen.tasks, **chosen.probes}.items():
        asked = {**written.tasks, **written.probes}[name]
        for mine, other in ((task.train, asked.train), (task.test, asked.test)):
            assert np.array_equal(np.asarray(mine.pictures), np.asarray(other.pictures))
            if task.kind == "pairs":
                assert mine.texts == other.texts
            else:
                right = [(task.choices[label],) for label in mine.labels]
                assert list(other.texts or ()) == right
        assert asked.question == task.question
        if task.kind == "choices":
            assert (asked.kind, asked.score, asked.choices) == ("answers", "exact_match", ())


@pytest.mark.parametrize(("config", "settings"), BOTH)
def test_keys_tell_the_kinds_apart_but_for_what_is_the_same(
    config: type[BenchmarkConfig], settings: dict[str, Any]
) -> None:
    chosen = config(**settings).fingerprints()
    assert config(**settings, kind="choices").fingerprints() == chosen
    written = config(**settings, kind="answers").fingerprints()
    assert {name for name in chosen if chosen[name] == written[name]} == {"captions"}
    assert not {part.train for part in chosen.values()} & {
        part.train for name, part in written.items() if name != "captions"
    }


def study(model: dict[str, Any], **benchmark: Any) -> Study:
    return Study.from_dict(
        {
            "name": "asked",
            "benchmark": {"name": "world", "train": 24, "test": 12, **benchmark},
            "backbones": {"model": model},
            "methods": ["finetune"],
            "training": {"steps": 12, "batch_size": 12, "lr": 1e-2},
            "evaluation": {"samples": 12},
        }
    )


def test_a_fusion_model_learns_to_write_the_class(tmp_path: Path) -> None:
    task = World(tasks=("relations",), train=1, test=1).load().tasks["relations"]
    words = {word for text in (task.question, *task.choices) for word in text.lower().split()}
    model = {"path": save_llava(tmp_path / "llava", words)}
    asked = study(model, tasks=["relations"], kind="answers")
    (before, after), _ = run_single(asked, "finetune", ("relations",))
    likelihood = [
        next(
            row["value"]
            for row in record.scores
            if (row["eval_task"], row["metric"]) == ("relations", "likelihood")
        )
        for record in (before, after)
    ]
    assert likelihood[1] > 1.5 * likelihood[0]
    assert asked.evaluation.task_scores(after.scores).keys() == {"relations"}
    assert asked.evaluation.scores_in(after.scores)["task", "relations"] == "exact_match"
    assert load_backbone(model["path"]).family == "fusion"


def test_a_dual_encoder_is_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match="answers"):
        make_preview(study({"path": "tiny-clip"}, tasks=["relations", "scenes"], kind="answers"))


def test_a_kind_that_its_tasks_cannot_have_is_refused() -> None:
    with pytest.raises(InputError, match="'choices' or 'answers'"):
        study({"path": "tiny-clip"}, kind="pairs")
