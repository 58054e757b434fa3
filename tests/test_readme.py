"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from sweep.alone import run_alone
from tests.toy import toy_study

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
OWN_METHOD = "### A method of your own"


def blocks(language: str, after: str = "") -> list[str]:
    """The code blocks of a language that follow a heading."""
    return re.findall(rf"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)


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
