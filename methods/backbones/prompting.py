"""What a method put into a backbone, and which of it the samples of a forward pass get."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_PLACES = {"attention_mask": 1, "token_type_ids": 0, "mm_token_type_ids": 0}
"""What models take per token, beside its id, and what stands there for one of the context."""


@dataclass(frozen=True, eq=False)
class Route:
    """Which prompts every sample gets. One row alone stands for any number of equal ones."""

    prompts: Tensor
    """int64 [B, N]: numbers of the prompts."""
    weight: Tensor
    """float [B]: how much they count, where prompts can be weighed."""

    @classmethod
    def to(cls, prompts: Tensor | int) -> "Route":
        """Returns all samples get these prompts (int64 [N]) in full."""
        numbers = torch.as_tensor(prompts).view(1, -1)
        return cls(numbers, torch.ones(1, device=numbers.device))

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, rows: Tensor | slice) -> "Route":
        """Returns the routes of some samples."""
        return self if len(self) == 1 else Route(self.prompts[rows], self.weight[rows])

    def shares(self, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Returns, where prompts are those of tasks, by task: how much it counts, float [B].

        >>> route = Route(torch.tensor([[1], [0]]), torch.tensor([0.5, 1.0]))
        >>> route.shares(["a", "b"])
        {'a': tensor([0., 1.]), 'b': tensor([0.5000, 0.0000])}
        """
        return {
            task: self.weight * (self.prompts == number).any(dim=1)
            for number, task in enumerate(tasks)
        }


Router = Callable[[Tensor], Route]
"""From the untouched backbone's image embeddings [B, D] to one row per image."""


class Prompting:
    """The prompts of one backbone, shared by it and by what is in its layers."""

    def __init__(self) -> None:
        """Start without prompts."""
        self.context: Tensor | None = None
        """Token embeddings [M, width] that stand in front of every text."""
        self.router: Router | None = None
        """Chooses prompts for every image; None: all images get `route`."""
        self.route: Route | None = None
        """Seen by attention layers in a forward pass, None: the backbone is untouched. Between
        passes: what holds for texts that come without an image."""
        self.in_texts = False
        """Whether the embeddings of texts depend on `route`."""

    @contextmanager
    def applied(self, route: Route | None) -> Iterator[None]:
        """Attention layers see `route` inside."""
        before, self.route = self.route, route
        try:
            yield
        finally:
            self.route = before

    @contextmanager
    def absent(self) -> Iterator[None]:
        """Take away prompts, context and router inside."""
        before = self.context, self.router, self.route
        self.context = self.router = self.route = None
        try:
            yield
        finally:
            self.context, self.router, self.route = before

    @property
    def context_length(self) -> int:
        """M."""
        return 0 if self.context is None else len(self.context)

    @contextmanager
    def context_in(
        self, tokens: dict[str, Tensor], table: nn.Embedding, start: int, plain: int
    ) -> Iterator[dict[str, Tensor]]:
        """Make places for the context in `tokens`, after the first `start`; `table` fills them.

        Args:
            tokens: input_ids and whatever else there is per token: int64 [N, L].
            table: The embedding that will be asked for them.
            start: How many special tokens a text begins with.
            plain: The id that tokens of the context are given. It must not be that of a special
                token: CLIP takes a text's embedding at the first end token that it finds.
        """
        context, count = self.context, self.context_length
        if context is None:
            yield dict(tokens)
            return

        def fill(_: nn.Module, __: object, embedded: Tensor) -> Tensor:
            new = context.to(embedded.dtype).expand(len(embedded), -1, -1)
            return torch.cat([embedded[:, :start], new, embedded[:, start + count :]], dim=1)

        longer = {
            name: torch.cat(
                [part[:, :start], part.new_full((len(part), count), place), part[:, start:]], dim=1
            )
            for name, place in {"input_ids": plain, **_PLACES}.items()
            if (part := tokens.get(name)) is not None
        }
        handle = table.register_forward_hook(fill)
        try:
            yield longer
        finally:
            handle.remove()
