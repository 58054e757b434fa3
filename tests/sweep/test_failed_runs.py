"""Runs in which something goes wrong, by the command line: what is kept, and what is said."""

import json
import shlex
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis import load
from methods.testing.toy import TOY
from sweep.cli.main import main

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

MESSAGE = "cannot open [/data/alpha/7.jpg], wanted [batch, dim]\nsecond line"
STUDY: dict[str, Any] = {
    "name": "failed",
    "benchmark": {"name": TOY},
    "methods": {"my [method]": {"method": "tests.faulty:CannotOpen"}},
    "design": {"name": "fixed", "orders": [["a", "b", "c"], ["c", "b", "a"]]},
    "training": {"steps": 3, "batch_size": 16},
    "lanes": {"count": 1, "cpus_per_worker": 1, "retries": 0},
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.chdir(tmp_path)
    study = STUDY | {"backbones": {"clip": {"path": str(models / "clip")}}}
    Path("s.yaml").write_text(yaml.safe_dump(study))


def test_an_error_is_kept_and_said_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "s.yaml", "--out", "a[b]", "--set", "training.steps=2"]) == 1
    said = capsys.readouterr().out
    first, second, frame, where, again = said.splitlines()[-8:-3]
    assert first == f"3 stages failed: RuntimeError: {MESSAGE.splitlines()[0]}"
    assert second == "second line"
    assert frame.startswith("  at tests/faulty.py:")
    assert frame.endswith(" in before_task")
    (file,) = Path("a[b]/errors").iterdir()
    assert where == f"  Traceback: {file.resolve()}"
    kept = file.read_text()
    assert "stage: my [method]: a > b (backbone clip, replicate 0)" in kept
    assert "Traceback (most recent call last)" in kept
    assert f"RuntimeError: {MESSAGE}" in kept
    failed = json.loads(Path("a[b]/manifest.json").read_text())["failed"]
    assert len(failed) == 3
    assert all(MESSAGE in error for error in failed.values())
    assert load("a[b]").failures["error"].str.contains(MESSAGE, regex=False).all()
    words = shlex.split(again.removeprefix("  Reproduce it: "))
    assert words[0] == "sweep"
    with pytest.raises(RuntimeError, match="second line"):
        main(words[1:])


def test_a_method_that_ends_its_process_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """In a lane; its process goes on with the other methods."""
    leaves = "method: 'tests.faulty:Leaves'"
    methods = f"methods={{a: {{{leaves}}}, b: {{{leaves}, how: interrupt}}}}"
    orders = "design.orders=[[a, b, c]]"
    assert main(["run", "s.yaml", "--out", "out", "--set", methods, "--set", orders]) == 1
    said = capsys.readouterr().out
    for method, raised in (("a", "SystemExit('no data left')"), ("b", "KeyboardInterrupt()")):
        begin = f"2 stages failed: EndedError: method '{method}' raised {raised}, which"
        assert begin in said
    assert "out of memory" not in said
    assert said.count("  at tests/faulty.py:") == 2
    for file in Path("out/errors").iterdir():
        assert "in before_task" in file.read_text()


def test_removing_the_folder_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    out, ended = Path("out"), threading.Event()

    def remove() -> None:
        while len(list(out.glob("stages/*/stage.*json"))) < 2 and not ended.is_set():
            time.sleep(0.05)
        shutil.rmtree(out, ignore_errors=True)

    remover = threading.Thread(target=remove)
    remover.start()
    changes = ["--set", "training.steps=60", "--set", "methods=[er, finetune, lwf]"]
    code = main(["run", "s.yaml", "--out", "out", *changes])
    ended.set()
    remover.join()
    said = capsys.readouterr()
    assert code == 1
    assert "The study broke off: its folder was removed while it ran" in said.out
    assert "Traceback" not in said.out + said.err
    assert not (out / "study.yaml").exists()
    assert main(["run", "s.yaml", "--out", "out", "--set", "methods=[zero_shot]"]) == 0
