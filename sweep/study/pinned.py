"""Pins down a study's data and backbones to the versions that they have now."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.study.backbones import Source, find_source
from sweep.study.schema import Study


@dataclass(frozen=True)
class Pinned:
    """Everything that a plan depends on besides the study."""

    tasks: tuple[str, ...]
    """Names of the benchmark's tasks."""
    data: Mapping[str, str]
    """Fingerprints of the data, by section: benchmark, reference, generator."""
    sources: Mapping[str, Source]
    """The backbones, by label."""


def pin(study: Study) -> Pinned:
    """Identifies the data and the backbones of a study without loading them.

    Raises:
        InputError: some of them cannot be found.
    """
    return Pinned(
        tasks=study.benchmark.task_names(),
        data={section: config.fingerprint() for section, config in study.data().items()},
        sources={label: find_source(config) for label, config in study.backbones.items()},
    )
