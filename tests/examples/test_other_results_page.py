"""docs/other_results.md: its tables are read, and its commands do what it says."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sweep.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "other_results.md").read_text("utf-8")
FILES = dict(re.findall(r'```csv title="(.+?)"\n(.*?)```', PAGE, re.S))
COMMANDS = re.findall(r"^\$ sweep (.+)$", PAGE, re.M)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "eclipse.csv", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_write_a_report(here: Path, command: str) -> None:
    assert main(shlex.split(command)) == 0
    written = [path.parent.name for path in here.rglob("report.html")]
    assert written == [f"{Path(shlex.split(command)[1]).stem}-report"]


def test_the_tables_of_the_page_are_all_used() -> None:
    named = {word for command in COMMANDS for word in shlex.split(command)}
    assert set(FILES) <= named
    assert len(COMMANDS) > len(FILES)


def test_the_page_tells_of_eclipse_what_the_report_does(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "examples/eclipse.csv", "--out", "there"]) == 0
    assert "Is the published order an outlier? Yes.\n" in capsys.readouterr().out
    (row,) = pd.read_parquet("there/tables/published_orders.parquet").itertuples()
    assert row.verdict == "outlier"
    said = f"scores {row.value} on the base\nclasses, the others {row.mean:.1f} on average"
    assert f"{said} with an SD of {row.sd:.2f}" in PAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "There is no file"),
        (["results.csv", "--score", "x"], "has no column of numbers 'x'; there are: accuracy."),
        (["results.csv", "--published", "Order II"], "Did you mean 'Order I'?"),
        (["results.csv", "--order", "a,b"], "says in its column 'order' which orders it holds."),
        (["matrices.csv", "--published", "pets"], "There is no order 'pets' among these"),
        (["results.csv", "matrices.csv"], "'results.csv' holds one number per order"),
        (["matrices.csv", "./matrices.csv"], "is given twice"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
