"""Studies and plans touch neither disk nor network: that is left to verbs such as `pin`."""

import builtins
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.orders.williams import Williams
from sweep.plan.plan import Plan
from sweep.preview.preview import make_preview
from sweep.preview.status import status
from sweep.storage.run_folder import RunFolder
from sweep.study.pinned import pin
from sweep.study.schema import Study
from tests.sweep.plans import plan_of, study_of

FOLDER: dict[str, Any] = {
    "name": "of-folders",
    "benchmark": {"name": "folder", "path": "no/such/folder"},
    "backbones": ["no/such-model"],
    "methods": ["finetune", "er", "zscl"],
    "reference": {"name": "dataset", "path": "no/such-data"},
    "training": {"per_task": {"pets": {"lr": 0.1}}},
}


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would open, list or look up something fails."""

    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"touched {arguments[:1]}")

    for module, name in (
        (builtins, "open"),
        (io, "open"),
        (os, "scandir"),
        (os, "listdir"),
        (socket, "create_connection"),
        (socket, "getaddrinfo"),
    ):
        monkeypatch.setattr(module, name, refuse)
    for name in ("iterdir", "read_text", "read_bytes", "glob", "rglob", "open"):
        monkeypatch.setattr(Path, name, refuse)


def imported() -> None:
    """Parts are imported on first use, which reads their files."""
    Study.from_dict(FOLDER)


def test_a_study_is_validated_without_its_data(request: pytest.FixtureRequest) -> None:
    imported()
    request.getfixturevalue("sealed")
    assert Study.from_dict(FOLDER).training.lr_of("pets", None) == 0.1


def test_what_a_study_lacks_is_found_when_it_is_pinned() -> None:
    with pytest.raises(InputError, match="no/such/folder"):
        pin(Study.from_dict(FOLDER))


def test_a_plan_is_a_function_of_its_arguments(request: pytest.FixtureRequest) -> None:
    study = study_of([("a", "b", "c")], ["finetune", "individual"], replicates=2)
    pinned = plan_of(study).pinned
    request.getfixturevalue("sealed")
    plans = [Plan(study, pinned) for _ in range(2)]
    assert list(plans[0].units) == list(plans[1].units)
    assert plans[0].runs == plans[1].runs


def test_a_plan_names_tasks_that_are_not_there() -> None:
    study = study_of([("a", "b")], training={"per_task": {"x": {"lr": 0.1}}})
    with pytest.raises(InputError, match=r"task in training.per_task 'x'; allowed: a, b"):
        plan_of(study)
    other = plan_of(study_of([("a", "b")])).pinned
    with pytest.raises(InputError, match="design 'fixed'"):
        Plan(study_of([("a", "b", "c")]), other)


def test_orders_are_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[object] = []
    orders = Williams.orders

    def counted(self: Williams, tasks: Any, rng: Any) -> Any:
        made.append(tasks)
        return orders(self, tasks, rng)

    monkeypatch.setattr(Williams, "orders", counted)
    study = Study.load("quickstart", ("replicates=3", "design=williams"))
    assert made == []
    plan = make_plan(study)
    assert len(made) == 3
    RunFolder(str(tmp_path / "out"), plan).prepare()
    assert len(made) == 3


def test_status_needs_the_run_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the data nor the backbone of the study are on this machine."""
    plan = plan_of(study_of([("a", "b"), ("b", "a")]))
    folder = RunFolder(str(tmp_path), plan)
    folder.prepare()
    (tmp_path / "study.yaml").unlink()
    monkeypatch.setattr("sweep.study.pinned.find_source", None)
    first = next(iter(plan.units))
    (tmp_path / "stages" / first).mkdir(parents=True)
    record = f"stage.{plan.units[first].evaluation}.json"
    (tmp_path / "stages" / first / record).write_text("{}")
    assert status(str(tmp_path)).startswith("planned: 1 of 5 stages are done. Resume with")


@pytest.mark.parametrize(
    "content",
    [
        '{"study": "old", "units": 3}',
        '{"study": "new", "stopped": null, "graph": {"units": [{"another": 1}], "runs": []}}',
    ],
)
def test_status_of_another_version_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(InputError, match="another version of this package; `sweep run` says what"):
        status(str(tmp_path))


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """The engine and `status` read from plan.json what the driver has planned."""
    from sweep.storage.planned import read_plan

    plan = plan_of(study_of([("a", "b"), ("b", "a")], ["finetune", "individual", "joint"]))
    folder = RunFolder(str(tmp_path), plan)
    folder.prepare()
    _, graph = read_plan(folder.folder)
    assert graph.units == plan.units
    assert graph.runs == plan.runs
    assert (graph.keep_states, graph.retries) == (plan.keep_states, plan.retries)


def test_a_preview_makes_orders_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[object] = []
    orders = Williams.orders
    monkeypatch.setattr(Williams, "orders", lambda *arguments: made.append(1) or orders(*arguments))
    study = Study.load("quickstart", ("replicates=2", "design=williams", "methods=[zero_shot]"))
    make_preview(study, str(tmp_path / "out"))
    assert len(made) == 2
