"""The rendered world: what its pictures depend on, and what train and test share."""

from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from methods.data import Split
from sweep.errors import InputError
from sweep.tasks.world import Dial, World
from sweep.tasks.world.corpus import captioned, vocabulary
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.portraits import Look
from sweep.tasks.world.recipes import SUITES, TASKS
from sweep.tasks.world.scans import scans
from sweep.tasks.world.stencils import blobs, letters, shapes
from sweep.tasks.world.subjects import shape


def pixels(split: Split) -> np.ndarray:
    assert isinstance(split, Split)
    assert isinstance(split.pictures, np.ndarray)
    return split.pictures


@pytest.fixture(scope="module")
def small() -> World:
    return World(train=60, test=40, seed=3)


def test_rendering_again_gives_the_same_pixels(small: World) -> None:
    first, again = small.load(), small.load()
    for name in small.task_names():
        assert np.array_equal(pixels(first.tasks[name].train), pixels(again.tasks[name].train))
    one, other = (world.probes["captions"].test for world in (first, again))
    assert np.array_equal(pixels(one), pixels(other))
    assert one.texts == other.texts


def test_a_task_does_not_depend_on_the_other_tasks(small: World) -> None:
    alone = World(tasks=("letters",), train=60, test=40, seed=3).load()
    among_others = small.load()
    assert list(alone.tasks) == ["letters"]
    for part in ("train", "test"):
        assert np.array_equal(
            pixels(getattr(alone.tasks["letters"], part)),
            pixels(getattr(among_others.tasks["letters"], part)),
        )
    assert np.array_equal(
        pixels(alone.probes["style"].test), pixels(among_others.probes["style"].test)
    )


def test_another_seed_gives_other_pictures(small: World) -> None:
    task = small.load().tasks["shapes"]
    other = World(tasks=("shapes",), train=60, test=40, seed=4).load().tasks["shapes"]
    assert not np.array_equal(pixels(task.train), pixels(other.train))


def test_no_image_is_in_both_train_and_test() -> None:
    for task in World(train=300, test=200).load().tasks.values():
        train = {image.tobytes() for image in pixels(task.train)}
        assert train.isdisjoint(image.tobytes() for image in pixels(task.test)), task.name


def test_no_scan_is_kept_for_both_training_and_testing() -> None:
    both = [
        {scan.tobytes() for digit in scans(part).values() for scan in digit}
        for part in ("train", "test")
    ]
    assert sum(map(len, both)) == 1797
    assert both[0].isdisjoint(both[1])


def test_labels_are_balanced_and_in_no_order(small: World) -> None:
    for task in small.load().tasks.values():
        counts = Counter(task.train.labels.tolist())
        assert set(counts) == set(range(len(task.choices))), task.name
        assert max(counts.values()) - min(counts.values()) <= 1, task.name
        assert list(task.train.labels) != sorted(task.train.labels), task.name


def test_probes_cannot_be_trained_on(small: World) -> None:
    for suite in small.load().probes.values():
        assert len(suite.train) == 0
        assert len(suite.test) == (256 if suite.kind == "pairs" else 40)


def test_every_stencil_is_another_and_stays_in_its_frame() -> None:
    stencils = [*shapes().values(), *letters().values(), *blobs().values()]
    for stencil in stencils:
        border = np.concatenate([stencil[0], stencil[-1], stencil[:, 0], stencil[:, -1]])
        assert border.max() < 0 < stencil.max()
    assert len({stencil.tobytes() for stencil in stencils}) == len(stencils)


def test_a_picture_shows_the_color_that_was_asked_for() -> None:
    task = World(tasks=("colors",), test=120).load().tasks["colors"]
    red = task.choices.index("red")
    images = pixels(task.test).astype(int)
    redness = (images[..., 0] - images[..., 1:].max(-1) > 100).mean((1, 2))
    assert redness[task.test.labels == red].mean() > 3 * redness[task.test.labels != red].mean()


def test_positions_are_where_they_are_said_to_be() -> None:
    task = World(tasks=("positions",), test=300).load().tasks["positions"]
    images = pixels(task.test).astype(float)
    change = np.abs(images - np.median(images, axis=(1, 2), keepdims=True)).sum(-1)
    rows, columns = np.indices(change.shape[1:])
    for place, axis, sign in (
        ("top", rows, -1),
        ("bottom", rows, 1),
        ("left", columns, -1),
        ("right", columns, 1),
    ):
        here = change[task.test.labels == task.choices.index(place)].mean(0)
        center = (here * axis).sum() / here.sum()
        assert sign * (center - 15.5) > 2, place


def test_a_caption_says_what_is_known() -> None:
    assert Look().caption() == "a thing"
    look = Look(subject=shape("star"), color="orange", place="top left", background="sea")
    assert look.caption() == "an orange star at the top left in the sea"
    assert Look(size="big", background="navy", style="sketch").caption() == (
        "a sketch of a big thing on a navy background"
    )


def test_captions_and_prompts_are_short_and_of_known_words() -> None:
    benchmark = World(train=1, test=1).load()
    prompts = [
        prompt
        for task in (*benchmark.tasks.values(), *benchmark.probes.values())
        for prompt in task.prompts()
    ]
    captions = [
        *captioned(2000, seed=1)[1],
        *(text for (text,) in benchmark.probes["captions"].test.texts or ()),
    ]
    known = set(vocabulary())
    for text in (*prompts, *captions):
        assert len(text.split()) < 19
        assert known.issuperset(text.split())


@pytest.mark.parametrize("name", [*TASKS, *SUITES])
def test_captions_name_the_answer(name: str) -> None:
    recipe = (TASKS | SUITES)[name]
    dice = Dice(Random(0), rare=0.5)
    for answer in recipe.answers.words:
        caption = recipe.draw(dice, answer).caption
        assert all(word in caption.split() for word in answer.split()), caption


def test_pretraining_seldom_shows_rare_words_and_never_blobs() -> None:
    _, captions = captioned(4000, seed=0)
    counts = Counter(word for caption in captions for word in caption.split())
    shape_words = TASKS["shapes"].answers
    rare = sum(counts[word] for word in shape_words.rare)
    assert 0 < rare < 0.1 * sum(counts[word] for word in shape_words.common)
    assert not any(counts[word] for word in blobs())


def test_fingerprints_differ_when_the_data_do() -> None:
    configs = [
        World(),
        World(tasks=("shapes",)),
        World(train=10),
        World(test=10),
        World(seed=1),
        Dial(),
        Dial(similarity=0.6),
        Dial(num_tasks=4),
    ]
    assert len({config.fingerprint() for config in configs}) == len(configs)
    assert World().fingerprint() == World(tasks=tuple(reversed(TASKS))).fingerprint()


ALL_SUITES = {f"{name} {part}" for name in SUITES for part in ("train", "test")}


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"tasks": ("shapes", "colors", "counting")}, {"counting train", "counting test"}),
        ({"train": 10}, {"shapes train", "colors train"}),
        ({"test": 10}, {"shapes test", "colors test"} | ALL_SUITES),
    ],
)
def test_fingerprints_are_those_of_tasks(changes: dict[str, Any], changed: set[str]) -> None:
    given: dict[str, Any] = {"tasks": ("shapes", "colors")}
    before = World(**given).fingerprints()
    after = World(**given | changes).fingerprints()
    assert changed == {
        f"{name} {part}"
        for name in after
        for part in ("train", "test")
        if name not in before or getattr(before[name], part) != getattr(after[name], part)
    }


def test_every_task_suite_and_set_of_pairs_has_a_fingerprint() -> None:
    for config in (World(train=1, test=1), Dial(train=1, test=1)):
        loaded = config.load()
        assert set(config.fingerprints()) == {*loaded.tasks, *loaded.probes}


def test_an_outline_has_all_but_the_images() -> None:
    config = World(tasks=("shapes", "letters"), train=7, test=5)
    whole, outline = config.load(), config.outline()
    for kind in ("tasks", "probes"):
        for name, task in getattr(whole, kind).items():
            other = getattr(outline, kind)[name]
            assert (other.choices, other.templates) == (task.choices, task.templates)
    assert len(outline.tasks["shapes"].train.labels) == 1


def test_unknown_tasks_are_refused_with_the_nearest_name() -> None:
    with pytest.raises((InputError, ValidationError), match="Did you mean 'letters'"):
        World(tasks=("leters",))


@pytest.mark.parametrize("tasks", [(), ("shapes", "shapes")])
def test_tasks_are_one_or_more_each_once(tasks: tuple[str, ...]) -> None:
    with pytest.raises((InputError, ValidationError), match="each named once"):
        World(tasks=tasks)
