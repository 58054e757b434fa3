"""Measures of similarity, against their definitions."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import spearmanr

from methods.backbones import load_backbone
from sweep.registry import resolve
from sweep.similarity import OF_EMBEDDINGS
from sweep.similarity.embedded import Embedded, embed
from sweep.similarity.mean_cosines import PAIRS, contributions
from sweep.similarity.measures import cka, frechet, names, prototype
from sweep.similarity.sampled import sample
from sweep.similarity.transport import otdd
from sweep.study.backbones import EMBEDDED
from sweep.tasks.world import Dial


def unit(rows: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def task(seed: int, samples: int = 12, classes: int = 3, size: int = 4) -> Embedded:
    rng = np.random.default_rng(seed)
    return Embedded(
        unit(rng.normal(size=(samples, size)) + rng.normal(size=size)),
        np.arange(samples) % classes,
        unit(rng.normal(size=(classes, size))),
        unit(rng.normal(size=(classes, size))),
    )


TASKS = [task(0), task(1, samples=9), task(2, classes=2)]


class TestContributions:
    @pytest.mark.parametrize("pair", PAIRS)
    def test_are_mean_cosines_over_all_pairs_of_samples(self, pair: str) -> None:
        x, y = pair.split("_")
        table = contributions(TASKS, pair)
        for i, a in enumerate(TASKS):
            for j, b in enumerate(TASKS):
                cosines = a.samples(x) @ b.samples(y).T
                if i == j:  # never a sample with itself
                    cosines = cosines[~np.eye(len(cosines), dtype=bool)]
                assert table[i, j] == pytest.approx(cosines.mean())

    @pytest.mark.parametrize("pair", PAIRS)
    def test_matched_draws_change_the_diagonal_alone(self, pair: str) -> None:
        x, y = pair.split("_")
        table, matched = contributions(TASKS, pair), contributions(TASKS, pair, "matched")
        off = ~np.eye(len(TASKS), dtype=bool)
        assert (table[off] == matched[off]).all()
        own = [np.mean(np.diag(t.samples(x) @ t.samples(y).T)) for t in TASKS]
        assert matched.diagonal() == pytest.approx(own)

    def test_cross_modal_tables_are_transposes(self) -> None:
        there, back = contributions(TASKS, "image_text"), contributions(TASKS, "text_image")
        assert there == pytest.approx(back.T)
        assert there != pytest.approx(there.T)


class TestMeasures:
    def test_frechet_is_the_textbook_formula(self) -> None:
        a, b = TASKS[:2]
        C, E = np.cov(a.images.T), np.cov(b.images.T)
        apart = ((a.images.mean(axis=0) - b.images.mean(axis=0)) ** 2).sum()
        expected = apart + np.trace(C + E - 2 * np.real(sqrtm(C @ E)))
        assert -frechet(TASKS)[0, 1] == pytest.approx(expected)

    def test_frechet_of_few_samples_is_finite(self) -> None:
        few = [task(seed, samples=3, size=8) for seed in range(2)]
        S = frechet(few)
        assert S[0, 1] < 0
        assert np.isfinite(S).all()
        assert frechet([few[0], few[0]])[0, 1] == pytest.approx(0, abs=1e-9)

    def test_cka_is_kornbliths_with_dimensions_as_examples(self) -> None:
        """HSIC of linear kernels over the D dimensions, every sample being one feature."""
        a, b = ((t.images - t.images.mean(axis=0)).T for t in TASKS[:2])  # [D, N]
        hsic = ((a @ a.T) * (b @ b.T)).sum()
        norms = np.linalg.norm(a @ a.T) * np.linalg.norm(b @ b.T)
        assert cka(TASKS)[0, 1] == pytest.approx(hsic / norms)

    def test_prototype_takes_the_best_counterpart(self) -> None:
        eye = np.eye(4)
        two = Embedded(eye[:2], np.array([0, 1]), eye, eye)
        one = Embedded(eye[1:2], np.array([0]), eye, eye)
        assert prototype([two, one]).tolist() == [[1.0, 0.5], [1.0, 1.0]]

    def test_otdd_is_the_cheapest_of_all_assignments(self) -> None:
        a, b = (task(seed, samples=6, classes=2, size=2) for seed in (4, 5))
        cost = np.empty((6, 6))
        for i, j in np.ndindex(6, 6):
            own, other = (t.images[t.labels == t.labels[k]] for t, k in ((a, i), (b, j)))
            A, B = np.cov(own.T, bias=True), np.cov(other.T, bias=True)
            apart = ((own.mean(axis=0) - other.mean(axis=0)) ** 2).sum()
            gaussians = apart + np.trace(A + B - 2 * np.real(sqrtm(A @ B)))
            cost[i, j] = ((a.images[i] - b.images[j]) ** 2).sum() + gaussians
        cheapest = min(cost[range(6), list(order)].mean() for order in permutations(range(6)))
        S = otdd([a, b])
        assert -S[0, 1] == pytest.approx(cheapest, abs=1e-6)
        assert S[0, 1] == S[1, 0]
        assert not S.diagonal().any()

    def test_otdd_of_tasks_of_different_sizes_is_finite(self) -> None:
        assert np.isfinite(otdd([task(4, samples=7), task(5, samples=4)])).all()

    def test_names_average_over_pairs_of_classes(self) -> None:
        assert names(TASKS)[0, 2] == pytest.approx((TASKS[0].names @ TASKS[2].names.T).mean())

    @pytest.mark.parametrize("name", sorted(OF_EMBEDDINGS.keys() - {"image_text", "text_image"}))
    def test_a_copy_is_more_similar_than_other_tasks(self, name: str) -> None:
        """Within a modality; images and texts of one task need not be alike."""
        rng = np.random.default_rng(3)
        tasks = [task(seed, samples=60, size=16) for seed in range(3)]
        copy = Embedded(
            unit(tasks[0].images + 0.01 * rng.normal(size=(60, 16))),
            tasks[0].labels,
            tasks[0].texts,
            tasks[0].names,
        )
        S = resolve("measures", name).compute([tasks[0], copy, *tasks[1:]])
        assert S.shape == (4, 4)
        assert S[0, 1] > S[0, 2:].max()


@pytest.fixture(scope="module")
def dialled() -> dict[float, list[Embedded]]:
    """Three tasks per setting of the dial, as the embedded backbone sees them."""
    backbone = load_backbone(str(EMBEDDED / "tiny-clip"))
    settings = (0.0, 0.25, 0.5, 0.75, 1.0)
    return {
        setting: embed(backbone, sample(backbone, dial.load().tasks, 96))
        for setting in settings
        for dial in [Dial(similarity=setting, num_tasks=3, train=96)]
    }


def test_embeddings_have_their_shapes(dialled: dict[float, list[Embedded]]) -> None:
    for found in dialled[0.5]:
        assert found.images.shape == (96, found.texts.shape[1])
        assert found.texts.shape == found.names.shape == (6, found.texts.shape[1])
        for rows in (found.images, found.texts, found.names):
            assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_samples_do_not_depend_on_the_other_tasks() -> None:
    backbone = load_backbone(str(EMBEDDED / "tiny-clip"))
    tasks = dict(Dial(num_tasks=2, train=40).load().tasks)
    both = embed(backbone, sample(backbone, tasks, 10))
    name = list(tasks)[1]
    (alone,) = embed(backbone, sample(backbone, {name: tasks[name]}, 10))
    assert (alone.images == both[1].images).all()
    assert len(alone.labels) == 10


@pytest.mark.parametrize("name", ["image_image", "centroid", "prototype", "frechet", "otdd", "cka"])
def test_measures_of_images_follow_the_dial(
    dialled: dict[float, list[Embedded]], name: str
) -> None:
    pairs = ~np.eye(3, dtype=bool)
    compute = resolve("measures", name).compute
    means = [compute(tasks)[pairs].mean() for tasks in dialled.values()]
    assert spearmanr(list(dialled), means).statistic > 0.85
