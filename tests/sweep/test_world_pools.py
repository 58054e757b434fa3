"""What the world renders for methods: captioned pairs, and new images for old choices."""

import numpy as np
import pytest

from methods.data import Split
from methods.testing.toy import Toy
from sweep.errors import InputError
from sweep.tasks.world import Captions, Dial, Renderer, World


@pytest.fixture(scope="module", params=["world", "dial"])
def benchmark(request: pytest.FixtureRequest) -> World | Dial:
    if request.param == "world":
        return World(tasks=("shapes", "handwritten"), train=24, test=8)
    return Dial(num_tasks=2, classes=3, train=24, test=8)


def test_captions_are_drawn_by_size_and_seed() -> None:
    one, again, other = (Captions(size=12, seed=seed).load() for seed in (0, 0, 1))
    assert np.asarray(one[0]).shape == (12, *np.asarray(other[0]).shape[1:])
    assert len(one[1]) == 12
    assert one[1] == again[1]
    assert np.array_equal(np.asarray(one[0]), np.asarray(again[0]))
    assert one[1] != other[1]
    prints = {
        Captions(size=size, seed=seed).fingerprint() for size, seed in ((12, 0), (12, 1), (9, 0))
    }
    assert len(prints) == 3


def test_rendered_images_are_like_training_images_but_new(benchmark: World | Dial) -> None:
    for task in benchmark.load().tasks.values():
        draw = Renderer().load(benchmark)
        labels = np.arange(6) % len(task.choices)
        images = np.asarray(draw(task, labels, range(6)))
        assert images.dtype == np.uint8
        assert isinstance(task.train, Split)
        real = np.asarray(task.train.pictures)
        assert images.shape == (6, *real.shape[1:])
        assert not any((image == other).all() for image in images for other in real)


def test_an_image_depends_on_its_seed_and_label_alone(benchmark: World | Dial) -> None:
    (first, second) = benchmark.load().tasks.values()
    draw, labels = Renderer().load(benchmark), np.array([0, 1, 0])
    images = np.asarray(draw(first, labels, [4, 5, 6]))
    assert np.array_equal(np.asarray(draw(first, labels[1:2], [5])), images[1:2])
    assert not np.array_equal(images[0], images[2])
    assert not np.array_equal(np.asarray(draw(first, labels[:1], [5])), images[1:2])
    assert not np.array_equal(np.asarray(draw(second, labels, [4, 5, 6])), images)
    other = Renderer(seed=1).load(benchmark)
    assert not np.array_equal(np.asarray(other(first, labels, [4, 5, 6])), images)


def test_renderer_draws_for_rendered_benchmarks_only(benchmark: World | Dial) -> None:
    Renderer().check_draws_for(benchmark)
    with pytest.raises(InputError, match="'world' and 'dial' only"):
        Renderer().check_draws_for(Toy())


def test_rendered_benchmarks_bring_both(benchmark: World | Dial) -> None:
    assert benchmark.reference() == Captions()
    assert benchmark.generator() == Renderer()
