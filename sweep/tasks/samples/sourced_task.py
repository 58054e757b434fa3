"""Describes a task that was made of a source: its samples, what identifies them, what is odd."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from methods.data import Task
from sweep.tasks.base import TaskFingerprint
from sweep.tasks.samples.content import Content
from sweep.tasks.samples.labels import Classes
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.task_sentences import described
from sweep.texts import plural


@dataclass(frozen=True, eq=False)
class SourcedTask:
    """A task, or a probe, with the samples that were made for it."""

    name: str
    source: TaskSource
    classes: Classes | None
    """None: its samples have choices of their own, or none."""
    contents: Mapping[str, Content]
    """Its samples for train and test; those of a probe for test alone."""

    def task(self) -> Task:
        """Returns it as methods take it; pictures are decoded when they are asked for."""
        test = self.contents["test"].split
        return Task(
            name=self.name,
            choices=self.classes.said if self.classes else (),
            templates=self.source.templates,
            question=self.source.asked,
            train=self.contents["train"].split if "train" in self.contents else test,
            test=test,
            kind=self.source.kind,
            score=self.source.scored_by,
            answer_tokens=self.source.answer_tokens,
        )

    @cached_property
    def fingerprint(self) -> TaskFingerprint:
        """Identifies all that learning it, and that evaluating on it, depends on."""
        source = self.source
        facts: tuple[object, ...] = (source.kind, source.asked)
        if source.kind == "choices":
            facts += (self.classes and self.classes.said, source.templates)
        tested = (source.scored_by, source.answer_tokens)
        test = _digest(*facts, *tested, self.contents["test"].digest)
        if "train" not in self.contents:
            return TaskFingerprint(test, test)
        return TaskFingerprint(_digest(*facts, self.contents["train"].digest), test)

    @property
    def split_id(self) -> str | None:
        """Identifies the rows that it uses, if the data set itself does not say which."""
        source = self.source
        if not (source.split or source.shots or source.subset):
            return None
        rows = [(role, content.chosen.rows.tobytes()) for role, content in self.contents.items()]
        return _digest(*rows)[:8]

    def described(self) -> str:
        """Returns how many classes and samples it has, for people."""
        said = described(self.task(), is_probe="train" not in self.contents)
        return f"{said} The split is {self.split_id}." if self.split_id else said

    def leaks(self) -> Iterator[str]:
        """Yields a sentence if images to train on are also tested on, where that can be told."""
        if "train" in self.contents:
            count = self.contents["test"].shared_with(self.contents["train"])
            if count:
                yield (
                    f"Task '{self.name}': {plural(count, 'image')} in both train and test, so its "
                    "score is too high."
                )

    def check(self) -> None:
        """Decodes every picture once on this machine.

        Raises:
            InputError: one cannot be read.
        """
        for content in self.contents.values():
            content.check()


def _digest(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()
