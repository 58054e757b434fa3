"""Writes what a run learnt as a folder that plain peft or transformers loads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from methods.tools.model_folders import Base, Form, write_learnt
from sweep.exporting.exported_card import card
from sweep.exporting.learnt_again import bring_back
from sweep.exporting.new_folder import check_new_folder, new_folder
from sweep.exporting.planned_stage import find_stage
from sweep.orders.order import Order


@dataclass(frozen=True)
class Exported:
    """A folder that was written."""

    folder: Path
    form: Form
    """An adapter for peft, or a model for transformers."""
    base: str
    """Folder or hub id of the model that the adapter belongs to, or that was trained."""
    trained: int
    """Stages that were trained again for it, because their states were not kept."""
    differing: int
    """Of these, how many ended with another state than in the run: on other hardware or with other
    packages sums round otherwise."""


def _nothing(_: str) -> None:
    """Says nothing."""


def export(
    out: str,
    method: str,
    order: Order,
    to: str,
    replicate: int = 0,
    backbone: str | None = None,
    stage: int | None = None,
    say: Callable[[str], None] = _nothing,
) -> Exported:
    """Writes what a run learnt as a folder that plain peft or transformers loads.

    A low-rank adapter becomes a folder for `PeftModel.from_pretrained`, trained weights of the
    model one for `from_pretrained` of transformers, which a study can also name as a backbone. Both
    predict what the method did. A state that was not kept is trained again, in this process.

    Args:
        out: Folder or URI of the run.
        method: Label of a method of the study.
        order: An order of the run, or how one begins.
        to: The folder to write; must not exist yet, or be empty.
        replicate: Number of the replicate.
        backbone: Label of a backbone of the study; default: the first.
        stage: Number of the stage; default: the one after the last task of `order`.
        say: Is told if something has to be trained again.

    Raises:
        InputError: there is no such stage, or no folder can hold what it predicts with.

    >>> import tempfile
    >>> from sweep import Study, run_single
    >>> world = {"name": "world", "tasks": ["shapes", "colors"], "train": 16, "test": 8}
    >>> study = Study.from_dict(
    ...     {
    ...         "name": "tiny",
    ...         "benchmark": world,
    ...         "backbones": ["tiny-clip"],
    ...         "methods": ["lora"],
    ...         "training": {"steps": 1, "batch_size": 8},
    ...     }
    ... )
    >>> place = tempfile.TemporaryDirectory()
    >>> _ = run_single(study, "lora", ("colors", "shapes"), out=f"{place.name}/run")
    >>> made = export(f"{place.name}/run", "lora", ("colors",), f"{place.name}/adapter")
    >>> made.form, sorted(file.name for file in made.folder.iterdir())
    ('adapter', ['README.md', 'adapter_config.json', 'adapter_model.safetensors'])
    >>> place.cleanup()
    """
    folder = check_new_folder(to)
    found = find_stage(out, method, order, replicate, backbone, stage)
    learnt = bring_back(found, say)
    source = learnt.plan.pinned.sources[found.run.backbone]
    base = Base(source.location, source.commit)
    with new_folder(folder) as part:
        written = write_learnt(learnt.trainer.method, source.load, base, len(found.prefix), part)
        text = card(found, learnt, source, written, folder)
        (part / "README.md").write_text(text, encoding="utf-8")
    return Exported(folder, written.form, base.path, learnt.trained, learnt.differing)
