"""Trains the experts that expert-based measures of similarity need, or loads them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from methods.baselines.individual import Individual
from methods.seeds import derive_seed
from sweep.errors import InputError
from sweep.plan.units import Unit
from sweep.similarity.experts import Experts
from sweep.similarity.sampled import Sampled, sample
from sweep.stage.samples import TestSamples
from sweep.stage.task_scores import TaskScores
from sweep.stage.trainer import Trainer, join_lane
from sweep.study.backbones import Source
from sweep.study.expert_sources import ExpertSource
from sweep.study.schema import MethodEntry, Study


def entry(study: Study) -> MethodEntry:
    """Returns how an expert is trained: as the study's method `individual`, or its defaults."""
    own = (e for e in study.methods.values() if issubclass(e.kind, Individual))
    return next(own, MethodEntry.model_validate({"method": "individual"}))


def train_experts(
    study: Study,
    backbone: str,
    source: Source,
    images: int,
    cache: Path,
    loaded: Mapping[str, ExpertSource] | None = None,
) -> Experts:
    """Trains one expert for each of the study's tasks in this process, and samples the tasks.

    They equal the experts of `individual` in the first replicate, bit for bit if lanes have one
    worker.

    Args:
        study: Data, training settings and seed.
        backbone: Label of the backbone.
        source: The weights to start from.
        images: Samples of every task, at most.
        cache: Folder for prepared images.
        loaded: Experts of others, by task, which are loaded instead.

    Raises:
        InputError: one of these is no expert of this backbone.
    """
    benchmark = study.benchmark.load()
    trainer = Trainer(study, entry(study), source, benchmark, join_lane(study), cache)
    seed = study.replicate_seed(0)
    units = [
        Unit(
            key="",
            kind="train",
            backbone=backbone,
            method="",
            replicate=0,
            seed=seed,
            prefix=(task,),
            parents=(),
            evaluation="",
        )
        for task in benchmark.tasks
    ]
    if loaded:
        try:
            states = [trainer.load(loaded[task]) for task in benchmark.tasks]
        except ValueError as error:
            raise InputError(f"backbone '{backbone}': {error}.") from None
    else:
        states = [trainer.train(unit, None) for unit in units]
    trainer.method.reset(derive_seed(seed, "initial"))
    samples = sample(trainer.backbone, benchmark.tasks, images)
    state = trainer.method.state()
    states = [state | changed for changed in states]
    return Experts(trainer.method, state, states, samples, partial(_score, trainer))


@torch.no_grad()
def _score(trainer: Trainer, samples: Sampled) -> float:
    """Returns the score of the trainer's method on samples of a task, as on its test samples."""
    prepared = samples.pixels.permute(0, 2, 3, 1).numpy()
    task = replace(samples.task, test=replace(samples.samples, pictures=prepared))
    return TaskScores(TestSamples(trainer)).measure(task, task).metrics[task.score]
