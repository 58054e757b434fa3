"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from methods.testing.toy import toy_study
from sweep.alone import run_alone

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
OWN_METHOD = "### A method of your own"


def blocks(language: str, after: str = "") -> list[str]:
    """The code blocks of a language that follow a heading."""
    return re.findall(rf"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)


def test_a_method_of_ones_own_is_found_from_the_command_line(tmp_path: Path) -> None:
    """In the folder where the command is given, which holds nothing but it and a study."""
    file = tmp_path / blocks("python", OWN_METHOD)[0].splitlines()[0].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(blocks("python", OWN_METHOD)[0])
    study = {
        "name": "own",
        "benchmark": {"name": "world", "tasks": ["shapes", "colors"], "train": 32, "test": 8},
        "backbones": ["tiny-clip"],
        "training": {"steps": 2, "batch_size": 8},
        **yaml.safe_load(blocks("yaml", OWN_METHOD)[0]),
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    order = ["--method", "locked-text", "--order", "shapes,colors"]
    command = [Path(sys.executable).with_name("sweep"), "trial", "study.yaml", *order]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy of locked-text" in done.stdout


def test_a_method_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, section = blocks("python", OWN_METHOD)[0], blocks("yaml", OWN_METHOD)[0]
    assert len(code.splitlines()) < 40
    file = tmp_path / code.splitlines()[0].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    study = toy_study(tmp_path, yaml.safe_load(section)["methods"])
    order = study.benchmark.task_names()
    _, free = run_alone(study, "finetune", order)
    _, locked = run_alone(study, "locked-text", order)
    assert free is not None
    assert locked is not None
    assert any("text_model" in name for name in free)
    assert not any("text_model" in name for name in locked)
    kept = torch.cat([locked[name].flatten() for name in locked])
    assert not torch.equal(kept, torch.cat([free[name].flatten() for name in locked]))
