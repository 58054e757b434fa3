"""What a model has made of images and texts, kept where it would be made again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from methods.data import Batch, Task

Prompts = tuple[int, ...]
"""Those that the layers were given, on which embeddings of texts may depend."""


@dataclass
class Frozen:
    """Embeddings that hold as long as the weights do not change."""

    texts: dict[tuple[Prompts, tuple[str, ...]], Tensor]
    """Of every task, by the prompts that the layers were given and by the texts."""
    images: tuple[Tensor, Tensor] | None = None
    """The last pixels and their embeddings: to predict and to embed a batch are two calls."""
    _places: dict[str, int] = field(default_factory=dict)
    """Of the texts that the samples of the last batch have of their own."""
    _own: dict[Prompts, Tensor] = field(default_factory=dict)
    """Embeddings of these texts."""

    def own(
        self, prompts: Prompts, texts: Sequence[str], embed: Callable[[Sequence[str]], Tensor]
    ) -> Tensor:
        """Returns what `embed` makes of texts that only samples of one batch have.

        It is kept until texts of another batch come.
        """
        if not self._places.keys() >= set(texts):
            self._places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
            self._own.clear()
        if prompts not in self._own:
            self._own[prompts] = embed(list(self._places))
        return self._rows(prompts, texts)

    def known(self, prompts: Prompts, texts: Sequence[str]) -> Tensor | None:
        """Returns embeddings of texts if they are kept."""
        known = self.texts.get((prompts, tuple(texts)))
        if known is None and prompts in self._own and self._places.keys() >= set(texts):
            return self._rows(prompts, texts)
        return known

    def _rows(self, prompts: Prompts, texts: Sequence[str]) -> Tensor:
        return self._own[prompts][[self._places[text] for text in texts]]


class OnePass:
    """Keeps what came out of a model in one step, for losses with several terms.

    Only while it is open; with it are kept the graphs that gradients need.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._clear()

    def _clear(self) -> None:
        self._images: list[tuple[Tensor, Tensor]] = []
        self._texts: dict[tuple[str, ...], Tensor] = {}
        self._logits: list[tuple[Batch, Tensor]] = []

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Inside, everything is computed once; afterwards nothing of it is kept."""
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False
            self._clear()

    def images(self, pixels: Tensor, embed: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns what `embed` makes of pixels."""
        for known, made in self._images:
            if known is pixels:
                return made
        return self.keep_images(pixels, embed(pixels))

    def keep_images(self, pixels: Tensor, made: Tensor) -> Tensor:
        """Returns what was made of pixels, and keeps it."""
        if self.is_open:
            self._images.append((pixels, made))
        return made

    def texts(self, texts: Sequence[str], embed: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """Returns what `embed` makes of texts that are read together."""
        if not self.is_open:
            return embed(texts)
        if (key := tuple(texts)) not in self._texts:
            self._texts[key] = embed(texts)
        return self._texts[key]

    def classes(
        self, tasks: Sequence[Task], embed: Callable[[Sequence[Task]], list[Tensor]]
    ) -> list[Tensor]:
        """Returns what `embed` makes of the prompts of tasks, those of each task once."""
        if not self.is_open:
            return embed(tasks)
        prompts = [tuple(task.prompts()) for task in tasks]
        new = {
            key: task for key, task in zip(prompts, tasks, strict=True) if key not in self._texts
        }
        if new:
            self._texts |= zip(new, embed(list(new.values())), strict=True)
        return [self._texts[key] for key in prompts]

    def logits(self, batch: Batch, compute: Callable[[Batch], Tensor]) -> Tensor:
        """Returns what `compute` makes of a batch."""
        known = self.known_logits(batch)
        if known is not None:
            return known
        logits = compute(batch)
        if self.is_open:
            self._logits.append((batch, logits))
        return logits

    def known_logits(self, batch: Batch) -> Tensor | None:
        """Returns the logits of a batch if they were computed before."""
        return next((made for known, made in self._logits if known is batch), None)
