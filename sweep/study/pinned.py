"""Pins down what a study names: the content that its data and its backbones have at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.study.backbones import Source, find_source
from sweep.study.schema import Study


@dataclass(frozen=True)
class Pinned:
    """What a plan depends on beside the study."""

    tasks: tuple[str, ...]
    """Of the benchmark."""
    data: Mapping[str, str]
    """Fingerprints of the data, by section: benchmark, reference, generator."""
    sources: Mapping[str, Source]
    """The backbones, by label."""


def pin(study: Study) -> Pinned:
    """Reads the data and the backbones of a study, and loads none of them.

    Raises:
        InputError: some of them are not there.
    """
    return Pinned(
        tasks=study.benchmark.task_names(),
        data={section: config.fingerprint() for section, config in study.data().items()},
        sources={label: find_source(config) for label, config in study.backbones.items()},
    )
