"""Says which experts of others a study merges: the `experts:` section of a study file."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from methods.base import Method, MethodConfig
from methods.baselines.individual import Individual
from sweep.errors import ChangedError, InputError, unknown
from sweep.hub import check_revision, commit_of, digest
from sweep.registry import parts, resolve
from sweep.section import Section

if TYPE_CHECKING:
    from methods.backbones.expert_files import ExpertFiles

TASK, BACKBONE = "{task}", "{backbone}"
"""What stands in a path for the name of a task, and for the label of a backbone."""
TOWER, ADAPTER = "config.json", "adapter_config.json"
"""The file that says what an expert is: a whole image tower, or an adapter of one."""


class TaskExpert(Section):
    """The expert of one task, where it is called or found otherwise than the others."""

    name: str | None = Field(default=None, description="What {task} in the path stands for.")
    path: str | None = Field(default=None, description="Hub id or folder; null: as of the others.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str | int) else value


class LoadedExperts(Section):
    """Experts that others have fine-tuned: image towers of the backbone, or adapters of them.

    >>> experts = LoadedExperts(path="you/clip_{task}", tasks={"cars": "stanford-cars"})
    >>> experts.where("cars", "clip"), experts.where("dtd", "clip")
    (('you/clip_stanford-cars', None), ('you/clip_dtd', None))
    """

    path: str | None = Field(
        default=None,
        description="Hub id or folder of every task's expert, in which {task} stands for the task, "
        "and {backbone} for the label of the backbone: tanganke/clip-vit-base-patch32_{task}.",
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    tasks: dict[str, Annotated[TaskExpert, BeforeValidator(_named)]] = Field(
        default_factory=dict,
        description="Of single tasks: what {task} stands for, or a mapping with name, path and "
        "revision.",
    )

    @field_validator("path")
    @classmethod
    def _has_a_place_for_the_task(cls, path: str | None) -> str | None:
        if path is not None and TASK not in path:
            raise InputError(
                f"must hold {TASK}, which stands for the name of a task, got '{path}'."
            )
        return path

    def where(self, task: str, backbone: str) -> tuple[str, str | None]:
        """Returns the hub id or folder of a task's expert, and its revision.

        Raises:
            InputError: the section does not say where it is.
        """
        own = self.tasks.get(task, TaskExpert())
        path = own.path or self.path
        if path is None:
            raise InputError(
                f"experts: there is none for task '{task}'; give path, with {TASK} in it, or "
                f"tasks.{task}."
            )
        found = path.replace(TASK, own.name or task).replace(BACKBONE, backbone)
        if left := re.search(r"{.*?}", found):
            raise InputError(
                f"experts: nothing stands for '{left[0]}' in '{path}'; allowed: {TASK}, {BACKBONE}."
            )
        # A revision is one of a repository, and an expert with a path of its own has another.
        return found, own.revision or (None if own.path else self.revision)


@dataclass(frozen=True)
class ExpertSource:
    """A pinned expert: it always loads the same weights."""

    task: str
    path: str
    """A hub id, or the absolute path of a folder."""
    commit: str | None
    """Of a repository on the hub; None for a folder."""
    fingerprint: str
    is_adapter: bool

    @property
    def title(self) -> str:
        """What sentences call it."""
        return f"expert of task '{self.task}' ('{self.path}')"

    @property
    def files(self) -> "ExpertFiles":
        """What the backbone loads from."""
        from methods.backbones.expert_files import ExpertFiles  # imports transformers

        return ExpertFiles(self.title, self.path, self.commit, self.is_adapter)

    def verify(self) -> None:
        """Makes sure that what is about to be loaded is what the study was planned with.

        Raises:
            ChangedError: files of a local folder have changed since.
        """
        if self.commit is None and not Path(self.path).is_dir():
            raise ChangedError(f"the {self.title} is not there any more")
        if self.commit is None and digest(Path(self.path)) != self.fingerprint:
            raise ChangedError(
                f"the files of the {self.title} have changed since the study was planned; run the "
                "study again to merge the new ones"
            )


def find_expert(task: str, path: str, revision: str | None) -> ExpertSource:
    """Pins down an expert: a folder by the content of its files, a hub id by its commit.

    Raises:
        InputError: there is none, or it cannot be reached.
    """
    what = f"expert of task '{task}'"
    folder = Path(os.path.expanduser(path))
    if folder.is_dir():
        kinds = [kind for kind in (ADAPTER, TOWER) if (folder / kind).is_file()]
        if not kinds:
            raise InputError(f"{what}: the folder '{path}' holds neither {TOWER} nor {ADAPTER}.")
        check_revision(what, path, revision)
        place = str(folder.resolve())
        return ExpertSource(task, place, None, digest(folder), kinds[0] == ADAPTER)
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise InputError(f"{what}: '{path}' is neither a folder nor a hub id.")
    kind = TOWER
    try:
        commit = commit_of(what, path, revision, TOWER)
    except InputError as error:
        try:
            kind, commit = ADAPTER, commit_of(what, path, revision, ADAPTER)
        except InputError:
            raise error from None
    return ExpertSource(task, path, commit, f"{path}@{commit}", kind == ADAPTER)


def find_experts(
    experts: LoadedExperts, tasks: Sequence[str], backbones: Sequence[str]
) -> Mapping[tuple[str, str], ExpertSource]:
    """Pins down the experts of all tasks, by label of the backbone and task.

    Raises:
        InputError: one of them is missing, or the section names a task that there is not.
    """
    for task in experts.tasks:
        if task not in tasks:
            raise unknown("task in experts.tasks", task, tasks)
    return {
        (backbone, task): find_expert(task, *experts.where(task, backbone))
        for backbone in backbones
        for task in tasks
    }


def loads_experts(kind: type[Method]) -> bool:
    """Returns whether weights that others have trained can take the place of a method's training.

    They can where it is that of `individual`: an expert per task, of which nothing but weights is
    used.
    """
    return issubclass(kind.reuses_training_of or kind, Individual)


def check_loadable(methods: Mapping[str, tuple[type[Method], MethodConfig]]) -> None:
    """Makes sure that experts can be loaded for all methods that have one per task.

    Args:
        methods: Classes and options by label.

    Raises:
        InputError: a method needs more of an expert than weights; or none merges experts.
    """
    for label, (kind, options) in methods.items():
        if kind.depends_on == "task" and not loads_experts(kind):
            raise InputError(
                f"experts: method '{label}' needs more of an expert than weights; those that can "
                f"load experts: {_loadable()}."
            )
        if loads_experts(kind) and getattr(options, "lora", None) is not None:
            raise InputError(
                f"experts: method '{label}' has lora, which says what is trained, but its experts "
                "are loaded as they are; leave lora out."
            )
    if not any(loads_experts(kind) for kind, _ in methods.values()):
        raise InputError(f"experts: no method loads any; those that do: {_loadable()}.")


def _loadable() -> str:
    kinds = {name: resolve("methods", name) for name in parts("methods")}
    return ", ".join(sorted(name for name, kind in kinds.items() if loads_experts(kind)))
