"""Measures which tower accuracy comes from: a game of vision, text and joint weights.

A tower outside of the coalition has the weights of the untouched backbone, with adapters as the
method first built them. "joint" means the weights between the towers, and those that a method adds
outside of the backbone. State that is not weights, such as a closed-form head, stays. The split
"update" has each tower's share of the squared norm of the update of the backbone's weights; LoRA
counts as the product that it adds.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from methods.base import Method
from methods.tools.low_rank import lora_layers
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.diagnostics.coalitions import Coalition, coalitions, worths
from sweep.stage.rows import ALL_TASKS, Scores, score, share_right
from sweep.stage.samples import TestSamples

TOWERS = ("vision", "text", "joint")
"""The players of the game; joint: neither of the other two."""


class Towers(Diagnostic):
    """Measures the accuracy that is left when towers are set back to the untouched backbone."""

    def __init__(self, samples: TestSamples) -> None:
        super().__init__(samples)
        self.weights = TowerWeights(self.method, samples.trainer.pretrained)

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Returns the worth of all coalitions of towers."""
        if not given:
            return []
        return [
            row
            for name, worth in self._worths(given).items()
            for row in worths("tower", self.tasks[name], worth)
        ]

    def of_model(self) -> Scores:
        """Returns the share of every tower in the update."""
        return [
            score("update", ALL_TASKS, tower, share, 0)
            for tower, share in self.weights.update_shares().items()
        ]

    def _worths(self, given: Mapping[str, Tensor]) -> dict[str, dict[Coalition, float]]:
        """Returns worths; towers that did not change add nothing to a coalition."""
        tasks = [self.tasks[name] for name in given]
        changed = tuple(tower for tower in TOWERS if tower in self.weights.changed())
        worth = {task.name: {changed: share_right(given[task.name], task)} for task in tasks}
        for present in coalitions(changed)[:-1]:
            gone = set(changed) - set(present)
            with self.weights.without(gone), self.backbone.frozen_texts(tasks):
                for task in tasks:
                    batches = self.samples.batches(task)
                    answers = ((batch.ids, self.method.predict(batch)) for batch in batches)
                    found = self.samples.gathered(task, answers)
                    worth[task.name][present] = share_right(found, task)
        return {
            name: {
                coalition: known[tuple(tower for tower in coalition if tower in changed)]
                for coalition in coalitions(TOWERS)
            }
            for name, known in worth.items()
        }


class TowerWeights:
    """The weights of a method by tower, with their values in the untouched backbone."""

    def __init__(self, method: Method, pretrained: Set[nn.Parameter]) -> None:
        """Copies the weights as they are now.

        Args:
            method: A method that has not trained yet.
            pretrained: The backbone's own weights, without what the method adds.
        """
        self.method = method
        weights = dict(method.named_parameters())
        self._pretrained = [name for name, weight in weights.items() if weight in pretrained]
        self._untouched = {
            name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()
        }

    def tower(self, name: str) -> str:
        """Returns the tower of a weight (as in the method's `named_parameters`)."""
        inside = name.removeprefix("backbone.")
        return self.method.backbone.tower(inside) if inside != name else "joint"

    def changed(self) -> dict[str, list[str]]:
        """Returns the weights that are not as they were, by tower."""
        found: dict[str, list[str]] = {}
        for name, weight in self.method.named_parameters():
            if not torch.equal(weight.detach().cpu(), self._untouched[name]):
                found.setdefault(self.tower(name), []).append(name)
        return found

    @contextmanager
    @torch.no_grad()
    def without(self, towers: Iterable[str]) -> Iterator[None]:
        """Sets these towers to the untouched backbone while the context is open."""
        weights, changed = dict(self.method.named_parameters()), self.changed()
        held = {name: weights[name].clone() for tower in towers for name in changed.get(tower, ())}
        for name in held:
            weights[name].copy_(self._untouched[name])
        try:
            yield
        finally:
            for name, weight in held.items():
                weights[name].copy_(weight)

    @torch.no_grad()
    def update_shares(self) -> dict[str, float]:
        """Returns each tower's share of the update's squared norm; {} without an update."""
        weights = dict(self.method.named_parameters())
        added = {
            f"{name}.base_layer.weight": layer.get_delta_weight("default")
            for name, layer in lora_layers(self.method).items()
        }
        squares = dict.fromkeys(TOWERS, 0.0)
        for name in self._pretrained:
            update = weights[name].cpu().double() - self._untouched[name].double()
            if name in added:
                update += added[name].cpu().double()
            squares[self.tower(name)] += float(update.square().sum())
        total = sum(squares.values())
        return {tower: square / total for tower, square in squares.items()} if total else {}
