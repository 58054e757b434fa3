"""Figures and tables outside of the page: files that other programs open."""

import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from pypdf import PdfReader

from analysis import figures, to_latex, write_report
from analysis.report.export import FIGURES, check_formats
from analysis.report.latex import escaped
from sweep.cli.main import main
from tests.analysis.chromium import CHROMIUM, browser
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a", "b", "c")
NAMES = (
    "er_500 & 5 %",
    "{lwf} \\ #1 ~ ^",
    "größer \u2192 <b> \u03b1 \u2265 \u201c2\u201d \u2013 \u22121 \u2026 \u65b9",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = dict(zip(NAMES, (METHODS["ewc"], METHODS["replay"], METHODS["lora"]), strict=True))
    named["zero_shot"] = METHODS["zero_shot"]
    folder = tmp_path_factory.mktemp("study")
    return write_study(folder, random_orders(TASKS, 6, 3), World(tasks=TASKS), named)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_figures_are_written_in_every_format(out: Path) -> None:
    write_report(str(out), figure_formats=FIGURES)
    svg = ElementTree.fromstring((out / "figures" / "orders.svg").read_text())
    assert "average accuracy after the last task" in "".join(svg.itertext())
    pdf = PdfReader(io.BytesIO((out / "figures" / "orders.pdf").read_bytes()))
    assert len(pdf.pages) == 1
    assert "average accuracy" in pdf.pages[0].extract_text()
    assert (out / "figures" / "overview.png").read_bytes().startswith(b"\x89PNG")
    svg_of_modes = ElementTree.fromstring((out / "figures" / "modes.svg").read_text())
    assert (svg.get("width"), svg_of_modes.get("width")) == ("900", "900")
    heights = {name: drawn_height(out, name) for name in ("orders", "modes")}
    assert (float(svg.get("height", 0)), float(svg_of_modes.get("height", 0))) == (
        heights["orders"],
        heights["modes"],
    )
    assert heights["orders"] != heights["modes"]
    names = {kind: {path.stem for path in out.glob(f"figures/*.{kind}")} for kind in FIGURES}
    assert names["svg"] == names["pdf"] == names["png"] >= {"overview", "orders", "tree"}


def drawn_height(out: Path, name: str) -> float:
    return float(getattr(figures, name)(str(out)).layout.height)


def test_without_a_browser_nothing_is_written(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="takes Chrome or Chromium"):
        write_report(str(out), out=str(tmp_path / "report"), figure_formats=("svg",))
    assert not (tmp_path / "report").exists()


def test_tables_are_written_in_every_format(out: Path) -> None:
    write_report(str(out), table_formats=("csv", "tex"))
    runs = pd.read_csv(out / "tables" / "runs.csv")
    stored = pd.read_parquet(out / "tables" / "runs.parquet")
    assert runs["average_accuracy"].tolist() == pytest.approx(stored["average_accuracy"].tolist())
    assert runs["order"][0] == " > ".join(stored["order"][0])
    assert r"er\_500 \& 5 \%" in (out / "tables" / "methods.tex").read_text()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--figures", "svg,gif"], "Figures cannot be written as 'gif'; there are: svg, pdf, png."),
        (["--tables", "xlsx"], "Tables cannot be written as 'xlsx'; there are: csv, tex."),
    ],
)
def test_unknown_formats_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], said: str
) -> None:
    folder = write_study(tmp_path, random_orders(TASKS, 6, 2), World(tasks=TASKS))
    assert main(["report", str(folder), *option]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (folder / "report.html").exists()


def test_figures_without_what_writes_them_say_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install it with: pip install 'task-order-sweep\[fig"):
        check_formats(["svg"], [])


def test_a_table_has_intervals_the_best_in_bold_and_arrows() -> None:
    frame = pd.DataFrame(
        {
            "method": ["er", "lwf"],
            "average_accuracy": [0.7, 0.6],
            "average_accuracy_low": [0.65, float("nan")],
            "average_accuracy_high": [0.75, float("nan")],
            "bwt": [-0.1, -0.05],
            "runs": [3, 4],
        }
    )
    lines = to_latex(frame, "n = 3.").splitlines()
    assert lines[2] == r"\begin{tabular}{lrrr}"
    assert r"Average accuracy $\uparrow$" in lines[4]
    assert lines[6] == r"er & \textbf{0.700} {\scriptsize [0.650, 0.750]} & $-$0.100 & 3 \\"
    assert lines[7] == r"lwf & 0.600 & \textbf{$-$0.050} & 4 \\"
    assert r"\caption{n = 3.}" in lines


def lines_of(**columns: object) -> list[str]:
    lines = to_latex(pd.DataFrame(columns)).splitlines()
    return lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]


def test_numbers_of_every_kind_are_shown_as_what_they_are() -> None:
    assert lines_of(runs=[3], bwt=[-0.25]) == [r"3 & \textbf{$-$0.250} \\"]
    assert lines_of(x=pd.Series([0.7], dtype="float32")) == [r"0.700 \\"]
    assert lines_of(x=[None], y=[pd.NA], z=[pd.NaT]) == [r"-- & -- & -- \\"]


def test_rows_that_share_an_index_are_not_both_the_best() -> None:
    part = pd.DataFrame({"average_accuracy": [0.5]})
    text = to_latex(pd.concat([part, part + 0.1]))
    assert text.count("textbf") == 1
    assert r"\textbf{0.600}" in text


def test_every_backbone_has_its_best() -> None:
    found = lines_of(backbone=["a", "a", "b"], method=["x", "y", "x"], bwt=[-0.1, -0.2, -0.3])
    assert ["textbf" in line for line in found] == [True, False, True]


def test_signs_that_names_often_hold_are_kept() -> None:
    assert escaped("\u03b1\u2212LoRA \u2013 \u201cx\u201d \u2265 1") == (
        r"$\alpha$$-$LoRA -- ``x'' $\geq$ 1"
    )


def test_the_caption_says_what_numbers_rest_on_and_what_bold_means(out: Path) -> None:
    from analysis import load

    (caption,) = [line for line in to_latex(load(str(out))).splitlines() if "caption" in line]
    assert caption.startswith(r"\caption{n = ")
    assert r"95 \% t interval over 3 replicates. Bold: the best mean" in caption


def test_references_are_never_the_best(out: Path) -> None:
    from analysis import load

    text = to_latex(load(str(out)))
    (line,) = [line for line in text.splitlines() if line.startswith(r"zero\_shot")]
    assert "textbf" not in line
    assert "textbf" in text
    assert r"For reference only: zero\_shot." in text


PAGE = r"""\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}
\usepackage{booktabs}\usepackage[margin=1mm,paperwidth=2000mm,paperheight=2000mm]{geometry}
\begin{document}
%s
\end{document}
"""


def compiled(folder: Path, tables: list[str]) -> None:
    (folder / "page.tex").write_text(PAGE % "\n\\clearpage\n".join(tables))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, re.findall(r"^!.*?$.*?^l\.\d+.*?$", done.stdout, re.M | re.S)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_tables_compile(out: Path, tmp_path: Path) -> None:
    write_report(str(out), table_formats=("tex",))
    tables = [path.read_text() for path in sorted((out / "tables").glob("*.tex"))]
    assert len(tables) > 10
    compiled(tmp_path, tables)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_latex_tables_of_the_page_compile(out: Path, tmp_path: Path) -> None:
    path = Path(write_report(str(out)))
    (tmp_path / "profile").mkdir()
    with browser(tmp_path / "profile") as tab:
        tab.open(path)
        tables = tab.run("[...document.querySelectorAll('table')].map((t) => asTex(contentOf(t)))")
        sheets = tab.run("[...document.querySelectorAll('table')].map((t) => asCsv(contentOf(t)))")
    assert len(tables) > 5
    assert any(r"\textbf{" in table for table in tables)
    assert any(r"{\scriptsize [" in table for table in tables)
    compiled(tmp_path, tables)
    for sheet in sheets:
        assert len(pd.read_csv(io.StringIO(sheet)).columns) > 1
