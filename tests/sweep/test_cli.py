"""The command line: bad input is one sentence and exit code 2, and writes nothing."""

import json
import os
import platform
import re
import shlex
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from sweep.cli import console
from sweep.cli.catalogue import KINDS
from sweep.cli.main import SCORES, main
from sweep.engine.driver import Finished
from sweep.measuring.measure import make_plan
from sweep.similarity import order_scores
from sweep.storage.failures import Failure
from sweep.storage.lock import MARKS
from sweep.storage.run_folder import RunFolder
from sweep.study.schema import Study

STUDY = {
    "name": "bad",
    "benchmark": {"name": "world", "tasks": ["shapes", "colors"], "train": 32, "test": 8},
    "backbones": ["tiny-clip"],
    "methods": ["finetune"],
    "design": "exhaustive",
    "training": {"steps": 2, "batch_size": 8},
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "400")


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run, expect exit code 2 and nothing written, and return the sentence."""
    before = sorted(Path().rglob("*"))
    assert main(list(arguments)) == 2
    assert sorted(Path().rglob("*")) == before
    said = capsys.readouterr()
    assert not said.out
    assert "Traceback" not in said.err
    assert len(said.err.strip().splitlines()) == 1
    return said.err.strip()


def write(changes: dict) -> str:
    Path("study.yaml").write_text(yaml.safe_dump({**STUDY, **changes}))
    return "study.yaml"


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\x00\xff\xfe\x80", "cannot be read as a text file"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"name: [", "is not valid YAML"),
        (b"name: a\nname: b\n", "'name' is given twice"),
    ],
)
def test_unreadable_study(
    capsys: pytest.CaptureFixture[str], verb: str, content: bytes, expected: str
) -> None:
    Path("study.yaml").write_bytes(content)
    assert expected in error_of(capsys, verb, "study.yaml")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"replicate": 3}, "Did you mean 'replicates'?"),
        ({"methods": ["finetun"]}, "Did you mean 'finetune'?"),
        ({"methods": {"lora": {"rnak": 4}}}, "Did you mean 'rank'?"),
        ({"methods": {"lora": {"rank": 0}}}, "greater than or equal to 1, got 0"),
        ({"design": "exhausting"}, "Did you mean 'exhaustive'?"),
        ({"benchmark": "wrld"}, "Did you mean 'world'?"),
        ({"benchmark": {"name": "world", "tasks": ["shape"]}}, "Did you mean 'shapes'?"),
        ({"backbones": ["tiny-clop"]}, "Did you mean 'tiny-clip'?"),
        ({"training": {"steps": "many"}}, "valid integer"),
        ({"training": {"batch_size": 9}, "lanes": {"workers": 2}}, "must be a multiple of"),
        ({"design": {"name": "random", "num_orders": 3}}, "only 2 orders"),
        ({"design": {"name": "fixed", "orders": [["shapes"]]}}, "exactly once"),
    ],
)
def test_study_that_cannot_be_run(
    capsys: pytest.CaptureFixture[str], changes: dict, expected: str
) -> None:
    assert expected in error_of(capsys, "run", write(changes))


def test_missing_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in error_of(capsys, "run", "nowhere/study.yaml")
    assert "Did you mean 'quickstart'?" in error_of(capsys, "run", "quickstrat")


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reference": "caption"}, "Did you mean 'captions'?"),
        ({"reference": {"name": "captions", "sise": 3}}, "Did you mean 'size'?"),
        ({"reference": {"name": "dataset"}}, "the key 'path' is missing"),
        ({"reference": {"name": "dataset", "path": "a", "template": "a photo"}}, "must hold '{}'"),
        ({"reference": {"name": "dataset", "path": "me/none"}}, "nor reachable on the hub"),
        ({"reference": {"name": "dataset", "path": "images"}}, "holds no images with captions"),
        ({"generator": "rendered"}, "Did you mean 'renderer'?"),
        ({"generator": {"name": "renderer", "images": 0}}, "greater than or equal to 1, got 0"),
        ({"generator": {"name": "diffusers", "path": "images"}}, "holds no model_index.json"),
    ],
    ids=str,
)
def test_reference_or_generator_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], verb: str, changes: dict, expected: str
) -> None:
    Path("images").mkdir()
    assert expected in error_of(capsys, verb, write({"methods": ["gift"], **changes}))


def test_reference_or_generator_that_is_needed_and_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = {"benchmark": {"name": "folder", "path": str(a_folder())}, "methods": ["gift"]}
    said = error_of(capsys, "run", write(study))
    assert "method 'gift' needs a reference, and benchmark 'folder' has none" in said
    assert "one of captions, pictures, dataset" in said
    study["reference"] = "captions"
    said = error_of(capsys, "run", write(study))
    assert "method 'gift' needs a generator, and benchmark 'folder' has none" in said
    study["generator"] = "renderer"
    said = error_of(capsys, "run", write(study))
    assert "draws for the benchmarks 'world' and 'dial' only" in said


def test_overrides_are_checked_like_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    study = write({})
    assert "takes key.path=value or ~key.path" in error_of(capsys, "run", study, "--set", "seed")
    nearest = error_of(capsys, "run", study, "--set", "training.stpes=3")
    assert "Did you mean 'steps'?" in nearest


def test_out_that_holds_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    study = write({})
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    assert "holds other files" in error_of(capsys, "run", study, "--out", "full")
    assert "is a file" in error_of(capsys, "run", study, "--out", "full/notes.txt")


def test_out_that_holds_another_study(capsys: pytest.CaptureFixture[str]) -> None:
    order = ["--method", "finetune", "--order", "shapes,colors", "--out", "out"]
    assert main(["trial", write({}), *order]) == 0
    capsys.readouterr()
    another = write({"seed": 7})
    assert "holds another study" in error_of(capsys, "run", another, "--out", "out")


def a_folder() -> Path:
    """A benchmark of one task."""
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = Path(f"data/pets/{split}/{name}")
            folder.mkdir(parents=True)
            picture.save(folder / "one.png")
    return Path("data")


def test_folder_with_an_unreadable_image(capsys: pytest.CaptureFixture[str]) -> None:
    broken = a_folder() / "pets/train/cat/one.png"
    broken.write_bytes(broken.read_bytes()[:40])
    study = write({"benchmark": {"name": "folder", "path": "data"}})
    assert "one.png" in error_of(capsys, "run", study)


def test_trial_of_what_the_study_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    study = write({})
    order = ["--order", "shapes,colors"]
    assert "'finetune'" in error_of(capsys, "trial", study, "--method", "finetun", *order)
    wrong = error_of(capsys, "trial", study, "--method", "finetune", "--order", "shapes,color")
    assert "Did you mean 'colors'?" in wrong
    assert "0 to 0" in error_of(
        capsys, "trial", study, "--method", "finetune", *order, "--replicate", "1"
    )


def test_status_and_report_of_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "holds no run" in error_of(capsys, "status", "empty")
    assert "empty" in error_of(capsys, "report", "empty")


def test_status_says_who_is_at_work_or_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    run_folder = RunFolder("my runs", make_plan(Study.from_dict(STUDY)))
    run_folder.prepare()
    driver = {"host": platform.node(), "pid": os.getppid(), "seen": time.time()}
    mark = Path("my runs", MARKS, "other.json")
    mark.parent.mkdir()
    mark.write_text(json.dumps(driver))
    assert main(["status", "my runs"]) == 0
    said = capsys.readouterr().out
    assert f"0 of 5 stages are done; process {os.getppid()} on" in said

    mark.unlink()
    assert main(["status", "my runs"]) == 0
    command = shlex.split(capsys.readouterr().out.partition("Resume with: sweep ")[2])
    assert command[0] == "run"
    assert main(["plan", *command[1:]]) == 0  # which would object to another study


@pytest.mark.parametrize("kind", KINDS)
def test_list_describes_everything(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize(("error", "code"), [("", 130), ("no machine [for lanes]", 1)])
def test_stopped_study_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: str, code: int
) -> None:
    finished = Finished("out", None, {}, is_settled=False, stopped="", error=error)  # type: ignore[arg-type]
    monkeypatch.setattr("sweep.engine.driver.run", lambda *_, **__: finished)
    changes = ["--set", "seed=3", "--set", "lanes={count: 2}"]
    assert main(["run", write({}), "--out", "my runs", "--address", "auto", *changes]) == code
    said = capsys.readouterr().out
    again = shlex.split(said.split("Resume with: ")[1])
    assert again == [
        "sweep",
        "run",
        "study.yaml",
        "--out",
        "my runs",
        "--address",
        "auto",
        *changes,
    ]
    assert ("broke off" in said) == bool(error)
    assert error in said


def test_a_study_of_which_nothing_is_left_is_no_error_of_the_users(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no results to report, which is not what it says."""
    failures = (Failure("the disk is full", 5, "", "", "tiny-clip", "er", ("a",), 0),)
    failed = {"key": "the disk is full"}
    out = str(tmp_path)
    finished = Finished(out, None, failed, is_settled=True, stopped="", error="", failures=failures)  # type: ignore[arg-type]
    monkeypatch.setattr("sweep.engine.driver.run", lambda *_, **__: finished)
    assert main(["run", write({}), "--out", out]) == 1
    said = capsys.readouterr()
    assert "5 stages failed: the disk is full" in said.out
    assert "Retry them with: sweep run study.yaml --out" in said.out
    assert "holds no results" not in said.out + said.err


def test_plan_ends_with_the_command_that_runs_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [write({"methods": ["zero_shot"]}), "--out", "there", "--set", "seed=3"]
    assert main(["plan", *arguments]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"Run it: sweep run {' '.join(arguments)}"


def test_plan_shows_what_it_times(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr(console, "errors", Console(file=shown, force_terminal=True, width=100))
    assert main(["plan", write({"methods": ["zero_shot", "finetune"]}), "--out", "there"]) == 0
    assert "Timing stages of finetune on tiny-clip (2 of 2)" in shown.getvalue()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Usage"),
        (["walk"], "walk"),
        (["status"], "DIR"),
        (["run", "quickstart", "--outt", "x"], "--outt"),
        (["trial", "quickstart", "--method", "lora"], "--order"),
        (["pretrain", "tiny-clip", "--out", "x", "--steps", "0"], "--steps"),
    ],
)
def test_arguments_that_are_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert expected in said.out + said.err
    assert "Traceback" not in said.err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "never trained again" in capsys.readouterr().out


def test_interrupting_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.preview.status.run_status", interrupted)
    assert main(["status", "."]) == 130


def test_scores_that_help_names_are_all_there_are() -> None:
    assert re.split(r", | or ", SCORES) == list(order_scores.SCORES)


def test_what_does_not_exist_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "report"):
        said = error_of(capsys, command, "nowhere")
        assert "nowhere' does not exist; give the folder of a run, such as runs/quickstart." in said
    assert "Unknown kind of part 'desings'" in error_of(capsys, "list", "desings")
    wrong = error_of(capsys, "trial", "quickstart", "--method", "x", "--order", "shapes")
    assert "Unknown method of this study 'x'; allowed: er, finetune, individual" in wrong
    wrong = error_of(capsys, "trial", "quickstart", "--method", "er", "--order", "digits,a")
    assert "Unknown task in the order 'a'; allowed: animals" in wrong
    assert "SCORE is one of path_cost" in error_of(capsys, "order", "quickstart")
    wrong = error_of(capsys, "order", "quickstart", "--best", "pathcost")
    assert "Unknown score 'pathcost'" in wrong
    wrong = error_of(capsys, "run", "quickstart", "--set", "training.steps=abc")
    assert "training.steps: must be a valid integer, got 'abc'." in wrong
