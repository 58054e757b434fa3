"""What users wrote is printed as they wrote it, and errors with all that helps to find them."""

import re
import shlex
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from sweep.cli import console as module
from sweep.cli.console import busy, say
from sweep.cli.ended import MOST, say_failures
from sweep.cli.main import main
from sweep.cli.progress import ProgressBar
from sweep.engine.driver import Finished
from sweep.engine.outcomes import Progress
from sweep.measuring.measure import make_plan
from sweep.orders.order import read_order, write_order
from sweep.storage.failures import Failure
from sweep.study.schema import Study

TASKS = ("cat [big]", "[red]dog", "a, b", ":cat:")
STUDY: dict[str, Any] = {
    "name": "odd",
    "benchmark": {"name": "folder", "path": "data"},
    "backbones": {"clip [1]": {"path": "tiny-clip"}},
    "methods": {"er [/x]": {"method": "er"}, ":smile:": {"method": "zero_shot"}},
    "design": {"name": "fixed", "orders": [list(TASKS)]},
    "training": {"steps": 1, "batch_size": 4},
}
FAILURE = Failure(
    error="RuntimeError: cannot open [/data/alpha/7.jpg], wanted [batch, dim]\nsecond line",
    stages=3,
    frame="my_methods/mine.py:7 in loss",
    file="a[b]/errors/0123.txt",
    backbone="clip [1]",
    method="er [/x]",
    order=("a, b", "cat [big]"),
    replicate=2,
)


@pytest.fixture(autouse=True)
def _in_a_folder_with_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for task in TASKS:
        for split in ("train", "test"):
            for name in ("circle", "square"):  # words that tiny-clip knows
                folder = Path(f"data/{task}/{split}/{name}")
                folder.mkdir(parents=True)
                picture.save(folder / "one.png")
    Path("s.yaml").write_text(yaml.safe_dump(STUDY))


def test_a_line_is_what_it_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    say("[red]a[/] :cat: \\[b] ", ("[/x]", "bold"), " 3 \udcff" + "y" * 99)
    assert capsys.readouterr().out == "[red]a[/] :cat: \\[b] [/x] 3 \\udcff" + "y" * 99 + "\n"


def test_nothing_else_prints() -> None:
    """A console of another module might read markup."""
    for file in Path(module.__file__).parents[1].rglob("*.py"):
        if file != Path(module.__file__):
            found = re.findall(r"Console\(|from_markup|rich\.markup|\brprint\b", file.read_text())
            assert not found, file


def test_names_in_tables_and_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    order = write_order(TASKS)
    arguments = ["s.yaml", "--method", "er [/x]", "--order", order, "--out", "a[b]"]
    assert main(["trial", *arguments]) == 0
    said = capsys.readouterr().out
    bare = re.sub(r"[^\w\[\]/:,]", "", said)
    for name in (*TASKS, "er [/x]"):
        assert name.replace(" ", "") in bare, said
    assert main(["status", "a[b]"]) == 0
    assert "a[b]" in capsys.readouterr().out
    assert main(["report", "a[b]"]) == 0
    said = capsys.readouterr().out
    assert "Does the ranking survive another task order? Cannot say." in said
    assert "a[b]/report.html" in said
    assert main(["run", "s.yaml", "--out", "data"]) == 2
    assert main(["trial", "s.yaml", "--method", "[/no]", "--order", "x"]) == 2
    assert "'[/no]'; allowed: :smile:, er [/x]" in " ".join(capsys.readouterr().err.split())


def test_plan_shows_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["plan", "s.yaml", "--out", "a[b]", "--set", "replicates=1"]) == 0
    said = capsys.readouterr().out
    assert "er [/x]" in said
    assert ":smile:" in said
    assert "sweep run s.yaml --out 'a[b]' --set replicates=1" in said


def test_the_bar_shows_names_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.cli.progress.QUIET_SECONDS", -1)
    plan = make_plan(Study.load("s.yaml"))
    reason = "stopped: Accuracy of er [/x] is Known"
    progress = Progress(9, [], 0, ["er [/x]: cat [big]"], {"k": "e"}, False, reason)
    idle = Progress(9, [], 0, [], {}, False, idle="no lane has started because of [/x]")
    for is_terminal in (True, False):
        with (tmp_path / "said").open("w") as file:
            console = Console(
                file=file,
                force_terminal=is_terminal,
                color_system=None,
                width=200,
                markup=False,
                emoji=False,
                highlight=False,
            )
            with ProgressBar(plan, console) as bar:
                for snapshot in (idle, idle, progress):
                    bar.update(snapshot, 2)
        said = (tmp_path / "said").read_text()
        assert "er [/x]: cat [big]" in said
        assert "1 failed" in said
        assert "Stopped: Accuracy of er [/x] is Known." in said
        assert said.count("No lane has started because of [/x].") == 1


def test_an_error_is_shown_with_what_reproduces_it(capsys: pytest.CaptureFixture[str]) -> None:
    say_failures([FAILURE], "my study.yaml", ["seed=3"])
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [
        "3 stages failed: RuntimeError: cannot open [/data/alpha/7.jpg], wanted [batch, dim]",
        "second line",
        "  at my_methods/mine.py:7 in loss",
        "  Traceback: a[b]/errors/0123.txt",
    ]
    command = shlex.split(last.removeprefix("  Reproduce it: "))
    assert command[:4] == ["sweep", "trial", "my study.yaml", "--method"]
    assert command[4:] == [
        "er [/x]",
        "--order",
        '"a, b",cat [big]',
        "--replicate",
        "2",
        "--backbone",
        "clip [1]",
        "--set",
        "seed=3",
    ]


def test_of_many_errors_the_first_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    many = [replace(FAILURE, error=f"number {i}", stages=1) for i in range(MOST + 2)]
    say_failures(many, "s.yaml")
    said = capsys.readouterr().out
    assert said.count("1 stage failed: number") == MOST
    assert "2 more errors are in" in said


def test_failed_stages_are_an_exit_code_and_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = Finished("out", None, {"key": "e"}, True, "", "", failures=(FAILURE,))
    monkeypatch.setattr("sweep.engine.driver.run", lambda *_, **__: finished)
    monkeypatch.setattr("sweep.cli.ended.report", lambda out: f"{out}/report.html")
    monkeypatch.setattr("sweep.cli.ended.verdict", lambda out: "It does.")
    assert main(["run", "s.yaml"]) == 1
    said = capsys.readouterr().out
    assert "3 stages failed: RuntimeError" in said
    assert "Retry them with: sweep run s.yaml" in said
    assert "out/report.html" in said


@pytest.mark.parametrize(
    "order", [("a",), ("a", "b"), TASKS, ('say "hi"', "b"), ('"', ","), ("two\nlines", "b")]
)
def test_orders_are_read_as_they_are_written(order: tuple[str, ...]) -> None:
    assert read_order(write_order(order)) == order


def test_orders_by_hand() -> None:
    assert read_order(" a, b ,c") == ("a", "b", "c")
    assert read_order('"a, b", c') == ("a, b", "c")
    assert read_order("") == ()


def test_order_prints_what_trial_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["order", "s.yaml", "--best", "path_cost"]) == 0
    said = capsys.readouterr().out.removesuffix("\n")
    assert sorted(read_order(said)) == sorted(TASKS)
    assert '"a, b"' in said


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_being_done_is_shown_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    shown = StringIO()
    errors = Console(file=shown, force_terminal=is_terminal, markup=False, width=80)
    monkeypatch.setattr(module, "errors", errors)
    with busy("Planning") as now:
        now("Timing stages of [red]x (1 of 2)")
    assert ("Timing stages of [red]x (1 of 2)" in shown.getvalue()) == is_terminal
    assert bool(shown.getvalue()) == is_terminal
