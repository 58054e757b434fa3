"""What the README shows works as it stands there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import torch
import yaml

from methods.testing.toy import toy_study
from sweep.single import run_single

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_METHOD = "### Parts of your own"


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
    assert "scores of locked-text" in done.stdout


def test_a_method_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, section = blocks("python", OWN_METHOD)[0], blocks("yaml", OWN_METHOD)[0]
    assert len(code.splitlines()) < 40
    file = tmp_path / code.splitlines()[0].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    study = toy_study(tmp_path, yaml.safe_load(section)["methods"])
    order = study.benchmark.task_names()
    _, free = run_single(study, "finetune", order)
    _, locked = run_single(study, "locked-text", order)
    assert free is not None
    assert locked is not None
    assert any("text_model" in name for name in free)
    assert not any("text_model" in name for name in locked)
    kept = torch.cat([locked[name].flatten() for name in locked])
    assert not torch.equal(kept, torch.cat([free[name].flatten() for name in locked]))


# --- the tree of files -----------------------------------------------------------------------


def tree_entries(block: str) -> list[str]:
    """The paths in a tree of files: one entry a line, two spaces of indentation per level.

    An entry is the first word of its line; what follows says what it is. A folder ends in "/". A
    line that is indented further than any entry could be continues the text of the line above.
    """
    paths: list[str] = []
    open_folders: list[str] = []
    for line in filter(str.strip, block.splitlines()):
        indentation = len(line) - len(line.lstrip())
        level = indentation // 2
        if indentation % 2 or level > len(open_folders):
            continue
        del open_folders[level:]
        name = line.split()[0]
        paths.append("".join(open_folders) + name)
        if name.endswith("/"):
            open_folders.append(name)
    return paths


def test_a_tree_of_files_is_understood() -> None:
    block = """
sweep/          the engine
  study/        what to run
    schema.py   the file
  tasks/world/  images,
                drawn
tests/
README.md
"""
    assert tree_entries(block) == [
        "sweep/",
        "sweep/study/",
        "sweep/study/schema.py",
        "sweep/tasks/world/",
        "tests/",
        "README.md",
    ]


def test_the_tree_names_every_folder() -> None:
    """Every package and every folder at the top; and what it names is there."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {PurePosixPath(name) for name in listed.stdout.split("\0") if name}
    folders = {parent for file in files for parent in file.parents} - {PurePosixPath(".")}
    at_top = {folder for folder in folders if len(folder.parts) == 1}
    packages = {file.parent for file in files if file.name == "__init__.py"}
    expected = packages | {folder for folder in at_top if not folder.name.startswith(".")}

    entries = tree_entries(blocks("", "## Files")[0])
    named = {PurePosixPath(entry) for entry in entries if entry.endswith("/")}
    # `a/b/` names a as well: it is where b is.
    named |= {parent for folder in named for parent in folder.parents} - {PurePosixPath(".")}
    named_files = {PurePosixPath(entry) for entry in entries if not entry.endswith("/")}
    missing, superfluous = expected - named, (named - folders) | (named_files - files)
    assert not missing | superfluous, (
        f"The tree of files in README.md lacks these folders: {sorted(map(str, missing))}; "
        f"it names what is not there: {sorted(map(str, superfluous))}."
    )
