"""docs/benchmarks.md: its table is that of the files, and what it shows works."""

import importlib.util
import io
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from sweep.cli.main import main
from sweep.study.schema import Study
from sweep.tasks.base import Benchmark
from sweep.tasks.named.named_benchmark import Published
from tests.sweep.sources import isolate, labelled, on_the_hub, write_json

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_table", DOCS / "benchmark_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_up_to_date() -> None:
    assert builder().with_table(PAGE) == PAGE, "run python docs/benchmark_table.py"
    assert "| `mtil` | MTIL, multi-domain" in PAGE


def study(block: str) -> Study:
    base = {"name": "page", "backbones": ["tiny-clip"], "methods": ["finetune"]}
    return Study.from_dict(base | yaml.safe_load(block))


def test_what_it_says_of_named_benchmarks() -> None:
    whole, part, orders = (study(block) for block in BLOCKS if "mtil\n" in block)
    assert isinstance(whole.benchmark, Published)
    assert len(whole.benchmark.task_names()) == 11
    assert isinstance(part.benchmark, Published)
    assert list(part.benchmark.datasets.probes) == ["imagenet"]
    assert part.benchmark.datasets.tasks["food"].shots == 16
    assert len(orders.blocks(orders.benchmark.task_names())[0]) == 2


def test_its_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    commands = re.findall(r"^sweep (.*)$", PAGE, re.MULTILINE)
    assert [main(command.split()) for command in commands] == [0, 1, 1, 0]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data of the page's examples, in the formats that it says."""
    isolate(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    for split in ("train", "test"):
        for name in ("n02123045", "Basset_Hound", "Pug", "Husky"):
            picture(folder / "pets" / split / name / "1.png")
        (folder / "scans").mkdir(exist_ok=True)
        scans = labelled([0, 1, 2, 1], ("none", "nodule", "mass"))
        scans = scans.rename_columns({"image": "scan", "label": "finding"})
        scans.to_parquet(folder / "scans" / f"{split}.parquet")
        turns = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "3"}]
        row = {"id": "1", "image": "1.png", "conversations": turns}
        write_json(folder / "charts" / f"{split}.json", [row])
    picture(folder / "charts" / "images" / "1.png")
    lines = [f'{{"file_name": "{i}.png", "captions": ["one {i}", "{i}"]}}' for i in range(5)]
    for i in range(5):
        picture(folder / "stamps" / f"{i}.png")
    (folder / "stamps" / "metadata.jsonl").write_text("\n".join(lines))
    aircraft = tmp_path / "aircraft"
    aircraft.mkdir()
    named = yaml.safe_load((DOCS.parent / "sweep/benchmarks/mtil.yaml").read_text("utf-8"))
    entry = named["tasks"]["aircraft"]
    for split in ("train", "test"):
        planes = labelled([0, 1], ("707-320", "A300B4")).rename_column("label", "variant")
        planes.to_parquet(aircraft / f"{split}.parquet")
    on_the_hub(tmp_path / "hub", entry["path"], aircraft, entry["revision"])


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(content, "PNG")
    file.write_bytes(content.getvalue())


@pytest.mark.usefixtures("data")
def test_its_examples_load() -> None:
    loaded: dict[str, Any] = {}
    for block in BLOCKS:
        if "name: datasets" in block:
            made: Benchmark = study(block).benchmark.load()
            loaded |= made.tasks
    assert set(loaded) == {"pets", "scans", "aircraft", "stamps", "charts", "pets-1", "pets-2"}
    assert loaded["pets"].choices == ("Basset Hound", "Husky", "Pug", "tabby cat")
    assert loaded["scans"].choices == ("none", "nodule")
    assert (len(loaded["scans"].train), len(loaded["aircraft"].train)) == (3, 2)
    assert loaded["stamps"].kind == "pairs"
    assert (len(loaded["stamps"].train), len(loaded["stamps"].test)) == (8, 2)
    assert loaded["charts"].test.questions[0].endswith("How many?")
    assert loaded["charts"].test.texts == (("3",),)
    assert loaded["charts"].answer_tokens == 8
    parts = [set(loaded[name].choices) for name in ("pets-1", "pets-2")]
    assert parts[0] | parts[1] == {"Basset Hound", "Husky", "Pug", "n02123045"}
    assert [len(part) for part in parts] == [2, 2]
