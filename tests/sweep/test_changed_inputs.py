"""Old results never stand for new inputs, and nothing is trained again that need not be."""

import importlib
import io
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import sweep.storage.inputs as recorded
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Scheduler
from sweep.preview.preview import make_preview
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Record
from sweep.study.pinned import own_code
from sweep.study.schema import Study

METHOD = """
from methods.baselines.finetune import FineTune


class Mine(FineTune):
    def loss(self, batch):
        return super().loss(batch) * 1.0
"""
CLASSES = ("small red square", "large blue circle")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with data of two tasks and a method of one's own."""
    for task in ("alpha", "beta"):
        for part in ("train", "test"):
            for name in CLASSES:
                for i in range(2):
                    add_image(tmp_path / "data" / task / part / name / f"{i}.png", i)
    (tmp_path / "our_methods").mkdir()
    (tmp_path / "our_methods" / "mine.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("our_methods")]:
        del sys.modules[name]


def add_image(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def plan_for(place: Path, **changes: Any) -> Plan:
    content = {
        "name": "case",
        "benchmark": {"name": "folder", "path": str(place / "data")},
        "backbones": ["tiny-clip"],
        "methods": {"mine": {"method": "our_methods.mine:Mine"}, "finetune": {}},
        "design": {"name": "fixed", "orders": [["alpha", "beta"]]},
        "training": {"steps": 1, "batch_size": 2},
    }
    return make_plan(Study.from_dict(content | changes))


def finish(place: Path, plan: Plan, has_state: bool = False) -> None:
    """Store made-up results of the whole plan, each of 60 seconds of training."""
    folder = RunFolder(str(place / "out"), plan)
    folder.check()
    folder.prepare()
    state = {} if has_state else None
    for key, unit in plan.units.items():
        record = Record(
            key=key,
            evaluation=unit.evaluation,
            seconds={"train": 60.0, "combine": 1.0, "evaluate": 1.0},
        )
        folder.store.save(record, state if unit.kind == "train" else None)


def refused(place: Path, plan: Plan) -> str:
    with pytest.raises(InputError) as raised:
        RunFolder(str(place / "out"), plan).check()
    RunFolder(str(place / "out"), plan).check(accepts_changes=True)
    return str(raised.value)


def left(place: Path, plan: Plan) -> set[tuple[str, tuple[str, ...]]]:
    """What has to be computed, by method and prefix."""
    store = RunFolder(str(place / "out"), plan).store
    scheduler = Scheduler(plan, store.finished(plan.units), 0.0)
    return {(plan.units[key].method, plan.units[key].prefix) for key in scheduler.to_compute}


A, AB = ("alpha",), ("alpha", "beta")


def test_an_edited_method_is_trained_again_once_that_is_accepted(place: Path) -> None:
    finish(place, plan_for(place))
    (place / "our_methods" / "mine.py").write_text(METHOD.replace("1.0", "0.0"))
    plan = plan_for(place)
    said = refused(place, plan)
    assert "the code of 'our_methods.mine:Mine' (module our_methods.mine)" in said
    assert "Of 5 finished stages 2 would be computed again (2 min of training)" in said
    assert left(place, plan) == {("mine", A), ("mine", AB)}


def test_an_edit_that_is_taken_back_costs_nothing(place: Path) -> None:
    file, before = place / "our_methods" / "mine.py", plan_for(place)
    finish(place, before)
    file.write_text(METHOD.replace("1.0", "0.0"))
    edited = plan_for(place)
    folder = RunFolder(str(place / "out"), edited)
    folder.check(accepts_changes=True)
    folder.prepare()
    trained = next(key for key in edited.units if key not in before.units)
    folder.store.save(Record(key=trained, evaluation=edited.units[trained].evaluation), None)
    file.write_text(METHOD)
    assert RunFolder(str(place / "out"), plan_for(place)).check() is None


def test_a_change_and_one_more_order_are_one_question(place: Path) -> None:
    finish(place, plan_for(place))
    edit_training(place)
    orders = [["alpha", "beta"], ["beta", "alpha"]]
    plan = plan_for(place, design={"name": "fixed", "orders": orders})
    assert "the training data of 'beta'" in refused(place, plan)


def edit_training(place: Path) -> None:
    add_image(place / "data" / "beta" / "train" / CLASSES[0] / "more.png", 9)


def edit_test(place: Path) -> None:
    add_image(place / "data" / "beta" / "test" / CLASSES[0] / "more.png", 9)


ALL = {(method, prefix) for method in ("mine", "finetune") for prefix in (A, AB)}


@pytest.mark.parametrize(
    ("edit", "said", "again", "again_with_states"),
    [
        # Without the state after alpha, alpha has to be learnt again before the new beta.
        (edit_training, "the training data of 'beta'", ALL, {("mine", AB), ("finetune", AB)}),
        (edit_test, "the test data of 'beta'", ALL | {("", ())}, {("", ())}),
    ],
    ids=["training", "test"],
)
def test_changed_data_are_named(
    place: Path,
    edit: Callable[[Path], None],
    said: str,
    again: set[Any],
    again_with_states: set[Any],
) -> None:
    for keep in ("none", "all"):
        finish(place, plan_for(place, keep_states=keep), has_state=keep == "all")
    edit(place)
    plan = plan_for(place)
    assert said in refused(place, plan)
    assert left(place, plan) == again_with_states
    for file in (place / "out" / "stages").rglob("state.safetensors"):
        file.unlink()
    assert left(place, plan) == again


def test_the_same_data_elsewhere_are_the_same(place: Path) -> None:
    finish(place, plan_for(place))
    shutil.copytree(place / "data", place / "copy")
    (place / "link").symlink_to(place / "copy", target_is_directory=True)
    for name in ("copy", "link"):
        plan = plan_for(place, benchmark={"name": "folder", "path": str(place / name)})
        RunFolder(str(place / "out"), plan).check()
        assert not left(place, plan)


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"evaluation": {"batch_size": 7}}, set()),
        ({"name": "other"}, set()),
        ({"replicates": 2}, {("mine", A), ("mine", AB), ("finetune", A), ("finetune", AB)}),
        (
            {"design": {"name": "fixed", "orders": [["alpha", "beta"], ["beta", "alpha"]]}},
            {(m, p) for m in ("mine", "finetune") for p in (("beta",), ("beta", "alpha"))},
        ),
    ],
    ids=["batch size", "name", "replicate", "order"],
)
def test_more_of_the_same_goes_on(place: Path, changes: dict[str, Any], added: set[Any]) -> None:
    finish(place, plan_for(place))
    plan = plan_for(place, **changes)
    RunFolder(str(place / "out"), plan).check()
    assert left(place, plan) == added


def test_one_more_measure_asks_where_states_are_gone(place: Path) -> None:
    finish(place, plan_for(place))
    plan = plan_for(place, evaluation={"diagnostics": ["cka"]})
    assert "diagnostic 'cka', which is measured now" in refused(place, plan)
    fewer = plan_for(place)
    RunFolder(str(place / "out"), fewer).check()
    assert not left(place, fewer)


def test_one_measure_less_needs_nothing(place: Path) -> None:
    finish(place, plan_for(place, evaluation={"diagnostics": ["cka", "modality"]}))
    plan = plan_for(place, evaluation={"diagnostics": ["cka"]})
    RunFolder(str(place / "out"), plan).check()
    assert not left(place, plan)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"training": {"steps": 2, "batch_size": 2}}, "training"),
        ({"seed": 1}, "seed"),
        ({"methods": ["finetune"]}, "methods.mine"),
        ({"design": {"name": "fixed", "orders": [["beta", "alpha"]]}}, "design"),
    ],
    ids=["training", "seed", "method", "design"],
)
def test_another_study_is_refused_whatever_is_accepted(
    place: Path, changes: dict[str, Any], key: str
) -> None:
    finish(place, plan_for(place))
    folder = RunFolder(str(place / "out"), plan_for(place, **changes))
    with pytest.raises(InputError, match=f"its {key} differs"):
        folder.check(accepts_changes=True)


def test_other_packages_are_named_where_something_is_left_to_train(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(place, plan_for(place))
    version = recorded.importlib.metadata.version
    monkeypatch.setattr(
        recorded.importlib.metadata, "version",
        lambda name: "99.0" if name == "transformers" else version(name),
    )  # fmt: skip
    RunFolder(str(place / "out"), plan_for(place)).check()
    said = refused(place, plan_for(place, replicates=2))
    assert "computed with other packages (transformers " in said
    assert "-> 99.0); they are kept" in said


def test_the_plan_says_what_has_changed(place: Path) -> None:
    finish(place, plan_for(place))
    edit_training(place)
    study = plan_for(place).study
    shown = make_preview(study, str(place / "out"))
    assert "the training data of 'beta'" in str(shown.changed)
    assert shown.as_dict()["changed"] == str(shown.changed)


def test_a_resumed_plan_fits_a_terminal(place: Path) -> None:
    """Of usual width, with neither a name nor a heading broken."""
    methods = {"individual": {}, "finetune": {}}
    finish(place, plan_for(place, methods=methods))
    shown = make_preview(plan_for(place, methods=methods, replicates=2).study, str(place / "out"))
    text = io.StringIO()
    Console(file=text, width=80).print(shown.table())
    words = re.findall(r"[a-z]+(?: [a-z]+)?", text.getvalue().lower())
    assert {"individual", "combined", "left", "lane time", "trained"} <= set(words)


def elsewhere(plan: Plan) -> Study:
    """The study as it arrives in another process."""
    study: Study = pickle.loads(pickle.dumps(plan.study))
    return study


def test_workers_refuse_what_was_not_planned(place: Path) -> None:
    plan = plan_for(place)
    edit_training(place)
    with pytest.raises(ValueError, match="content of 'beta' has changed since"):
        plan.pinned.verify_data(elsewhere(plan))
    (place / "our_methods" / "mine.py").write_text(METHOD.replace("1.0", "0.0"))
    with pytest.raises(ValueError, match=r"method 'our_methods.mine:Mine' \(our_methods.mine\)"):
        plan.pinned.verify_code(plan.study.methods["mine"].kind)
    plan.pinned.verify_code(plan.study.methods["finetune"].kind)


def test_workers_refuse_another_reference_than_was_planned(place: Path) -> None:
    for i in range(4):
        add_image(place / "pool" / CLASSES[i % 2] / f"{i}.png", i)
    reference = {"name": "dataset", "path": str(place / "pool")}
    plan = plan_for(place, reference=reference, methods=["zscl"])
    plan.pinned.verify_data(elsewhere(plan))
    add_image(place / "pool" / CLASSES[0] / "9.png", 9)
    with pytest.raises(ValueError, match="the reference has changed since"):
        plan.pinned.verify_data(elsewhere(plan))


def test_an_edited_benchmark_of_ones_own_is_other_data(place: Path) -> None:
    text = (
        "from sweep.tasks.image_folder import ImageFolder\n\n\n"
        "class Ours(ImageFolder):\n    name: str = 'ours'\n"
    )
    (place / "our_methods" / "data.py").write_text(text)
    benchmark = {"name": "our_methods.data:Ours", "path": str(place / "data")}
    before = plan_for(place, benchmark=benchmark)
    assert before.pinned.fingerprints == plan_for(place, benchmark=benchmark).pinned.fingerprints
    (place / "our_methods" / "data.py").write_text(text + "\n    def load(self):\n        pass\n")
    after = plan_for(place, benchmark=benchmark)
    for name, found in before.pinned.fingerprints.items():
        assert found.train != after.pinned.fingerprints[name].train


def test_a_study_in_memory_looks_at_its_data_anew(place: Path) -> None:
    study = plan_for(place).study
    before = make_plan(study)
    edit_training(place)
    assert make_plan(study).pinned.fingerprints != before.pinned.fingerprints


def test_what_was_read_does_not_travel(place: Path) -> None:
    benchmark = plan_for(place).study.benchmark
    benchmark.found()
    assert vars(benchmark).keys() > type(benchmark).model_fields.keys()
    copy = pickle.loads(pickle.dumps(benchmark))
    assert copy == benchmark
    assert vars(copy).keys() == type(benchmark).model_fields.keys()


def test_an_edited_measure_of_ones_own_is_measured_again(place: Path) -> None:
    text = (
        "from sweep.similarity.base import Measure\n\n\n"
        "def same(material):\n    return 1.0\n\n\nours = Measure(same)\n"
    )
    (place / "our_methods" / "measures.py").write_text(text)
    name = "our_methods.measures:ours"
    before = own_code("measures", name)
    assert before.keys() == {"our_methods.measures"}
    (place / "our_methods" / "measures.py").write_text(text.replace("1.0", "0.0"))
    assert own_code("measures", name) != before
    assert own_code("measures", "image_text") == {}
