"""Checks a study before it runs: what is there, what will happen, and all that would stop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.errors import InputError

Mark = Literal["ok", "note", "problem"]
"""As it should be; worth knowing; stops the run."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    mark: Mark
    text: str


@dataclass
class Topic:
    """What was found about one topic."""

    title: str
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Checkup:
    """All that was found about a study."""

    topics: list[Topic] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Returns what would stop the run, a sentence each; empty: it can run."""
        return [f.text for topic in self.topics for f in topic.findings if f.mark == "problem"]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        topics = {
            topic.title: [{"mark": f.mark, "text": f.text} for f in topic.findings]
            for topic in self.topics
        }
        return {"problems": self.problems, "topics": topics}

    def about(self, title: str) -> None:
        """Starts a topic; the findings that follow are about it."""
        self.topics.append(Topic(title))

    def add(self, mark: Mark, text: str) -> None:
        """Adds a finding; a problem that was found already is not found again."""
        if mark != "problem" or text not in self.problems:
            self.topics[-1].findings.append(Finding(mark, text))

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Makes a problem of an error inside, and goes on."""
        try:
            yield
        except (InputError, ValueError, OSError) as error:
            self.add("problem", str(error))
