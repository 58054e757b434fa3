"""What a study may measure beside scores and mean embeddings; see `attribution` for what it is."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from methods.data import Task
from sweep import shap
from sweep.attribution import (
    ALL,
    MODALITIES,
    PICTURED,
    SAMPLES,
    TOWERS,
    Coalition,
    Towers,
    chance,
    coalitions,
    linear_cka,
    named,
    partners,
)
from sweep.scores import Scores, score, share_right

if TYPE_CHECKING:
    from sweep.evaluate import Evaluator


class Extras:
    """The extra measures of one evaluator."""

    def __init__(self, evaluator: "Evaluator") -> None:
        learner = evaluator.learner
        self.evaluator = evaluator
        self.method, self.backbone = learner.method, learner.backbone
        self.tasks = learner.benchmark.tasks
        self.measures = learner.study.evaluation.measures
        self.weights: Towers | None = None
        self._untouched: dict[str, Tensor] = {}
        if "towers" in self.measures:
            self.weights = Towers(self.method, learner.pretrained)
        if "cka" in self.measures:
            self._untouched = self._untouched_embeddings()

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Measures of tasks that the same weights answer.

        Args:
            given: The method's answers, by task: int64 [N].
        """
        scores: Scores = []
        if "modality" in self.measures:
            for name, answers in given.items():
                scores += _worths("modality", self.tasks[name], self._modalities(name, answers))
        if "mm_shap" in self.measures:
            for name in given:
                scores += _worths("mm_shap", self.tasks[name], self._shares(self.tasks[name]))
        if "towers" in self.measures and given:
            for name, worth in self._towers(given).items():
                scores += _worths("tower", self.tasks[name], worth)
        return scores

    def of_all(self) -> Scores:
        """Measures of the model as a whole.

        Methods that choose weights by the task of a sample have none of them.
        """
        scores: Scores = []
        if self.method.uses_task_id:
            return scores
        if self.weights:
            shares = self.weights.update_shares()
            scores += [score("update", ALL, tower, share, 0) for tower, share in shares.items()]
        if self._untouched:
            for modality, now in self._embeddings().items():
                value = round(linear_cka(now, self._untouched[modality]), 6)
                scores.append(score("cka", ALL, modality, value, len(now)))
        return scores

    def _shares(self, task: Task) -> dict[Coalition, float]:
        labels = torch.from_numpy(task.test.labels)
        ids = _spread(len(labels), shap.SAMPLES)
        pixels = self.evaluator.pixels(task)[ids].to(self.backbone.device)
        text = shap.text_share_of_task(self.backbone, task, pixels, labels[ids])
        return {(): 0.0, ("image",): 1 - text, ("text",): text, MODALITIES: 1.0}

    def features(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Embeddings of some test images of tasks, and of the texts of their choices.

        Returns:
            Rows of the embeddings table. A choice that is met in several texts has a row for each.
        """
        rows: list[dict[str, Any]] = []
        if "features" in self.measures:
            for name in names:
                task = self.tasks[name]
                ids = _spread(len(task.test.labels), PICTURED)
                images = self._images(task, ids)
                texts = self.backbone.embed_texts(self.backbone.texts(task)).float().cpu()
                right = task.test.labels[ids.numpy()].tolist()
                # They come template by template.
                met = [i % len(task.choices) for i in range(len(texts))]
                for modality, samples, choices, vectors in (
                    ("image", ids.tolist(), right, images),
                    ("text", range(len(texts)), met, texts),
                ):
                    head = {"eval_task": name, "modality": modality}
                    rows += [
                        head | {"sample": sample, "choice": choice, "vector": vector.numpy()}
                        for sample, choice, vector in zip(samples, choices, vectors, strict=True)
                    ]
        return rows

    def _modalities(self, name: str, given: Tensor) -> dict[Coalition, float]:
        task, evaluator = self.tasks[name], self.evaluator
        alone = chance(given, torch.from_numpy(task.test.labels))
        both = share_right(given, task)
        worth: dict[Coalition, float] = {(): alone, ("image",): both, ("text",): alone}
        questions = task.test.questions
        if questions is not None:
            other, pixels = partners(task), evaluator.pixels(task)
            answers: dict[str, list[tuple[Tensor, Tensor]]] = {"image": [], "text": []}
            for batch in evaluator.batches(task):
                asked = tuple(questions[i] for i in other[batch.ids].tolist())
                seen = pixels[other[batch.ids]].to(batch.pixels.device)
                kept = {
                    "image": replace(batch, questions=asked),
                    "text": replace(batch, pixels=seen),
                }
                for modality, changed in kept.items():
                    answers[modality].append((batch.ids, self.method.predict(changed)))
            for modality, parts in answers.items():
                worth[modality,] = share_right(evaluator.gathered(task, parts), task)
        return worth | {MODALITIES: both}

    def _towers(self, given: Mapping[str, Tensor]) -> dict[str, dict[Coalition, float]]:
        """Coalitions of towers that did not change are worth what they are without these."""
        assert self.weights
        tasks = [self.tasks[name] for name in given]
        changed = tuple(tower for tower in TOWERS if tower in self.weights.changed())
        worth = {task.name: {changed: share_right(given[task.name], task)} for task in tasks}
        for present in coalitions(changed)[:-1]:
            gone = set(changed) - set(present)
            with self.weights.without(gone), self.backbone.frozen_texts(tasks):
                for task in tasks:
                    batches = self.evaluator.batches(task)
                    answers = ((batch.ids, self.method.predict(batch)) for batch in batches)
                    found = self.evaluator.gathered(task, answers)
                    worth[task.name][present] = share_right(found, task)
        return {
            name: {who: known[tuple(p for p in who if p in changed)] for who in coalitions(TOWERS)}
            for name, known in worth.items()
        }

    @torch.no_grad()
    def _untouched_embeddings(self) -> dict[str, Tensor]:
        """Before anything was trained: what a method adds to weights changes nothing yet."""
        self.method.eval()
        with self.evaluator.accelerator.autocast(), self.backbone.prompting.absent():
            return self._embeddings()

    def _embeddings(self) -> dict[str, Tensor]:
        """Of the same samples always: float32 [N, D] by modality, on the CPU."""
        images, texts = [], []
        for task in self.tasks.values():
            images.append(self._images(task, torch.arange(min(SAMPLES, len(task.test.labels)))))
            texts.append(self.backbone.embed_texts(self.backbone.texts(task)).float().cpu())
        return {"image": torch.cat(images), "text": torch.cat(texts)}

    def _images(self, task: Task, ids: Tensor) -> Tensor:
        """Embeddings of test images: float32 [N, D], on the CPU."""
        images = []
        for part in torch.split(ids, self.evaluator.learner.study.evaluation.batch_size):
            pixels = self.evaluator.pixels(task)[part].to(self.backbone.device)
            images.append(self.backbone.embed_images(pixels).float().cpu())
        return torch.cat(images)


def _spread(count: int, most: int) -> Tensor:
    """At most so many of `count` sample ids, evenly spaced: int64 [N]."""
    return torch.linspace(0, count - 1, min(most, count)).round().long()


def _worths(split: str, task: Task, worth: Mapping[Coalition, float]) -> Scores:
    count = len(task.test.labels)
    return [score(split, task.name, named(who), value, count) for who, value in worth.items()]
