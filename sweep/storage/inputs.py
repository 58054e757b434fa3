"""Remembers what the stages of a run were made from, and says what has changed since."""

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.plan.plan import VERSION, Plan
from sweep.storage.folder import DamagedError, Folder

INPUTS = "inputs.json"
"""The file's name in a run folder."""
PACKAGES = ("ray", "torch", "transformers", "peft", "accelerate", "task-order-sweep")
"""Packages whose versions are recorded: results may depend on them."""


def inputs(plan: Plan) -> dict[str, Any]:
    """Returns what identifies everything that a plan's stages are made from, for `changes`."""
    study, pinned = plan.study, plan.pinned
    return {
        "version": VERSION,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "train": {name: found.train for name, found in pinned.fingerprints.items()},
        "test": {name: found.test for name, found in pinned.fingerprints.items()},
        "data": {name: found for name, found in pinned.data.items() if name != "benchmark"},
        "backbones": {label: source.identity for label, source in pinned.sources.items()},
        "experts": {
            f"task '{task}' for backbone '{backbone}'": source.fingerprint
            for (backbone, task), source in pinned.experts.items()
        },
        "answers": {label: source.config.answer for label, source in pinned.sources.items()},
        "code": {part: dict(modules) for part, modules in pinned.code.items()},
        "diagnostics": {name: "" for name in study.evaluation.diagnostics},
    }


def write_inputs(folder: Folder, plan: Plan) -> None:
    """Writes the file."""
    folder.write(json.dumps(inputs(plan), indent=1).encode(), INPUTS)


def read_inputs(folder: Folder) -> dict[str, Any] | None:
    """Returns what the file holds; None if there is none, or a damaged one."""
    try:
        found: dict[str, Any] = folder.read_json(INPUTS)
    except (FileNotFoundError, DamagedError):
        return None
    return found


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Returns what differs and makes results differ, in words; and what was added.

    Args:
        old: What earlier stages were made from; None if that was not recorded.
        new: What new ones would be made from.

    >>> changes(
    ...     {"version": 3, "train": {"cars": "a"}, "code": {"own:M": {"own": "a"}}},
    ...     {"version": 3, "train": {"cars": "b"}, "code": {"own:M": {"own": "b"}}},
    ... )
    (["the training data of 'cars'", "the code of 'own:M' (module own)"], [])
    """
    if old is None or old["version"] != new["version"]:
        return ["the version of this package, which computes otherwise than the one before"], []
    return list(_changed(old, new)), list(_added(old, new))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    said = {
        "train": "the training data of '{}'",
        "test": "the test data of '{}'",
        "data": "the {}",
        "backbones": "the files of backbone '{}', or how it is loaded",
        "experts": "the expert of {}",
        "answers": "how backbone '{}' answers",
    }
    for section, text in said.items():
        for name, before in old.get(section, {}).items():
            if new.get(section, {}).get(name, before) != before:
                yield text.format(name)
    for part, before in old.get("code", {}).items():
        now = new.get("code", {}).get(part, before)
        if modules := sorted(m for m in before.keys() | now.keys() if before.get(m) != now.get(m)):
            noun = "module" if len(modules) == 1 else "modules"
            yield f"the code of '{part}' ({noun} {', '.join(modules)})"


def _added(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for section, text in {
        "test": "'{}', which is evaluated on now",
        "diagnostics": "diagnostic '{}', which is measured now",
    }.items():
        for name in sorted(new.get(section, {}).keys() - old.get(section, {}).keys()):
            yield text.format(name)


def other_packages(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Returns which packages have another version than before, in words.

    >>> other_packages({"packages": {"torch": "2.12.0"}}, {"packages": {"torch": "2.13.0"}})
    ['torch 2.12.0 -> 2.13.0']
    """
    before = old.get("packages", {}) if old else {}
    now = new["packages"]
    return [
        f"{name} {version} -> {now[name]}"
        for name, version in before.items()
        if name != "ray" and now.get(name, version) != version
    ]
