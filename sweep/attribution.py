"""Where accuracy comes from: measures that a study may add to what is evaluated after a stage.

`modality` and `towers` are games in which players work together for the accuracy on a task. The
results hold the worth of every coalition (a metric called "image+text", "vision", "none", ...);
`analysis/mechanisms/shapley_attribution.py` makes Shapley values of them.

modality, players image and text: a modality outside of the coalition is that of another test
sample of the task (Gat et al., "Perceptual Score", NeurIPS 2021, arXiv 2110.14375). Samples with a
question each are read once more for either modality, with one fixed permutation that moves every
sample. With both modalities of another sample, answers stay those given to whole samples, so the
mean over all permutations is exact: the chance of an answer to be right for a random sample. The
same is all that is left where the text is the same for all samples: where classes are told apart
by prompts, text has no worth of its own, and the empty coalition guesses as often as the method
names each class. Retrieval is left out: without either modality it is chance, so each would get
one half of the rest by symmetry, whatever the model does.

towers, players vision, text and joint: outside of the coalition a tower's weights are those of the
untouched backbone, with adapters as the method built them; joint is what lies between the towers,
and what a method adds outside of the backbone. What a method remembers beside weights, such as a
closed-form head, stays. Split "update" has the share of the squared norm of the update, of the
backbone's weights, LoRA included as the product that it adds, that is in each tower.

cka: linear CKA (Kornblith et al., ICML 2019, arXiv 1905.00414) between the embeddings of the
untouched backbone and of now: of the first SAMPLES test images of each task, all tasks together,
and of all their texts.

mm_shap: see `sweep/shap.py`; the same format, where a coalition is worth the sum of its shares.

features: the embeddings themselves of PICTURED test images of each task, evenly spaced, and of the
texts of its choices; the report shows how they move.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import combinations

import torch
from torch import Tensor, nn

from methods.adapters.low_rank import lora_layers
from methods.base import Method
from methods.data import Task
from methods.seeds import derive_seed

Coalition = tuple[str, ...]
MODALITIES = ("image", "text")
TOWERS = ("vision", "text", "joint")
ALL = "all tasks"
"""What is evaluated by "update" and "cka"."""
SAMPLES = 256
PICTURED = 60


def coalitions(players: Sequence[str]) -> list[Coalition]:
    """All sets of players, the empty one first."""
    return [found for k in range(len(players) + 1) for found in combinations(players, k)]


def named(coalition: Coalition) -> str:
    """How the results call a coalition."""
    return "+".join(coalition) or "none"


def partners(task: Task) -> Tensor:
    """Another test sample for each: a cyclic permutation, int64 [N], the same in every stage."""
    size = len(task.test.labels)
    generator = torch.Generator().manual_seed(derive_seed("modality", task.name) % 2**63)
    cycle = torch.randperm(size, generator=generator)
    other = torch.empty_like(cycle)
    other[cycle] = cycle.roll(1)
    return other


def chance(answers: Tensor, labels: Tensor) -> float:
    """The chance that an answer is right for a sample drawn by itself.

    Args:
        answers: int64 [N]: given to all samples, -1 for none of the choices.
        labels: int64 [N].
    """
    choices = int(labels.max()) + 1
    given = torch.bincount(answers[(answers >= 0) & (answers < choices)], minlength=choices)
    right = torch.bincount(labels, minlength=choices)
    return float((given * right).sum()) / len(labels) ** 2


def linear_cka(x: Tensor, y: Tensor) -> float:
    """|Y'X|^2 / (|X'X| |Y'Y|) of centred columns, Frobenius norms; 1: equal up to rotation.

    Args:
        x: float [N, D].
        y: float [N, E].
    """
    x, y = (z.double() - z.double().mean(dim=0) for z in (x, y))
    both, one, other = (torch.linalg.norm(a.T @ b) for a, b in ((y, x), (x, x), (y, y)))
    return float(both**2 / (one * other))


class Towers:
    """The weights of a method, tower by tower, and what they were in the untouched backbone."""

    def __init__(self, method: Method, pretrained: Set[nn.Parameter]) -> None:
        """Keep the weights as they are now.

        Args:
            method: Nothing trained yet.
            pretrained: The backbone's own weights, without what the method adds.
        """
        self.method = method
        weights = dict(method.named_parameters())
        self._pretrained = [name for name, weight in weights.items() if weight in pretrained]
        self._untouched = {
            name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()
        }

    def tower(self, name: str) -> str:
        """The tower of a weight (as in the method's `named_parameters`)."""
        inside = name.removeprefix("backbone.")
        return self.method.backbone.tower(inside) if inside != name else "joint"

    def changed(self) -> dict[str, list[str]]:
        """The weights that are not as they were, by tower."""
        found: dict[str, list[str]] = {}
        for name, weight in self.method.named_parameters():
            if not torch.equal(weight.detach().cpu(), self._untouched[name]):
                found.setdefault(self.tower(name), []).append(name)
        return found

    @contextmanager
    @torch.no_grad()
    def without(self, towers: Iterable[str]) -> Iterator[None]:
        """While it is open these towers are those of the untouched backbone."""
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
        """The share of every tower in the squared norm of the update; {} if there is none."""
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
