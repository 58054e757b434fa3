"""Rules that merge experts: by hand, against peft, and what they promise about order."""

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft.utils import merge_utils
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods import METHODS
from methods.backbones import Backbone, load_backbone
from methods.merging.base import Merging
from methods.merging.masked import Masked, packed, unpacked
from methods.merging.ties import agreed_mean, smallest_kept, trim
from sweep.registry import resolve
from tests.methods.merges import crowds, merge, method_of, stage_of, vectors_of

RULES: dict[str, dict[str, Any]] = {
    "average": {},
    "task_arithmetic": {"scale": 0.5},
    "ties": {"density": 0.5},
    "magmax": {},
    "consensus": {"threshold": 0.5},
    "tall": {"threshold": 0.5},
    "condu_once": {},
}
"""All that combine sets but those that draw at random for each task."""
MERGING = [name for name in METHODS if issubclass(resolve("methods", name), Merging)]


@pytest.fixture(scope="module")
def backbone(models: Path) -> Backbone:
    return load_backbone(str(models / "clip"))


def floats(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everything(method: Merging, made: Any, **where: Any) -> dict[str, Tensor]:
    """What is merged, or all decoupled experts, by task."""
    merged = merge(method, made, **where)
    if not isinstance(method, Masked):
        return merged
    return {
        f"{task}/{weight}": change
        for task in method.unified.tasks
        for weight, change in method.unified.expert(task).items()
    }


def test_average(backbone: Backbone) -> None:
    made = {"w": [[1, -2], [3, 0]], "v": [[[4.0]], [[1.0]]]}
    merged = merge(method_of("average", backbone), made)
    assert merged["w"].tolist() == [2, -1]
    assert merged["v"].tolist() == [[2.5]]


@pytest.mark.parametrize("name", ["average", "randmix", "condu_once"])
def test_equal_experts_are_merged_into_themselves(backbone: Backbone, name: str) -> None:
    expert = floats(0, 5, 3)
    merged = everything(method_of(name, backbone), {"w": [expert.tolist()] * 4})
    for change in merged.values():
        torch.testing.assert_close(change, expert)


@given(made=crowds(), scale=st.floats(0.1, 2))
def test_task_arithmetic_is_that_of_peft(backbone: Backbone, made: Any, scale: float) -> None:
    merged = merge(method_of("task_arithmetic", backbone, scale=scale), made)
    for weight, rows in vectors_of(made).items():
        expected = merge_utils.task_arithmetic(list(rows), torch.full((len(rows),), scale))
        torch.testing.assert_close(merged[weight], expected)


@given(seed=st.integers(0, 99), count=st.integers(1, 5), density=st.floats(0.1, 0.9))
def test_ties_of_one_weight_is_that_of_peft(
    backbone: Backbone, seed: int, count: int, density: float
) -> None:
    rows = floats(seed, count, 4, 5)
    merged = merge(method_of("ties", backbone, density=density), {"w": rows.tolist()})["w"]
    expected = merge_utils.ties(list(rows), torch.ones(count), density)
    torch.testing.assert_close(merged, expected)


def test_ties_trims_the_whole_vector(backbone: Backbone) -> None:
    """Half of four entries is kept wherever they are: here all of them lie in one weight."""
    merged = merge(method_of("ties", backbone, density=0.5), {"w": [[5, -4]], "v": [[3, 2]]})
    assert merged["w"].tolist() == [5, -4]
    assert merged["v"].tolist() == [0, 0]


def test_ties_elects_the_sign_of_larger_mass() -> None:
    """Columns: outvoted by mass, agreement, a zero that does not count, no majority."""
    rows = torch.tensor([[1.0, 2.0, 0.0, 1.0], [1.0, 4.0, -3.0, -1.0], [-3.0, 3.0, -1.0, 0.0]])
    assert agreed_mean(rows).tolist() == [-3, 3, -2, 1]


def test_entries_equal_to_the_smallest_one_kept_are_kept() -> None:
    vector = torch.tensor([3.0, -1.0, 1.0, 0.5])
    limit = smallest_kept([vector], 0.5)
    assert trim(vector[None], torch.tensor([limit]))[0].tolist() == [3, -1, 1, 0]


@given(
    seed=st.integers(0, 999),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    density=st.floats(0.01, 1),
    repeats=st.booleans(),
)
def test_smallest_kept_is_that_of_all_entries_sorted(
    seed: int, sizes: list[int], density: float, repeats: bool
) -> None:
    weights = [floats(seed + i, size, 2) * 10 ** (i - 2) for i, size in enumerate(sizes)]
    if repeats:
        weights = [weight.round() for weight in weights]
    entries = sorted(torch.cat([w.flatten() for w in weights]).abs().tolist(), reverse=True)
    kept = max(1, int(density * len(entries)))
    assert smallest_kept(weights, density) == entries[kept - 1]


@given(seed=st.integers(0, 99), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_masks_are_kept_as_bits(seed: int, shape: list[int]) -> None:
    masks = floats(seed, 3, *shape) > 0
    bits = packed(masks)
    assert torch.equal(unpacked(bits, masks.shape[1:]), masks)
    assert bits.nbytes == 3 * -(-masks[0].numel() // 8)


@pytest.mark.parametrize("name", ["average", "ties", "consensus", "dare", "randmix", "magmax"])
def test_one_weight_after_the_other_is_merged(models: Path, name: str) -> None:
    """Of what has been merged no more than the last weight is still in memory."""
    method = method_of(name, load_backbone(str(models / "clip")))
    start = method.state()
    moved = {key: part + floats(0, *part.shape) for key, part in start.items()}
    merged = method.merge(method.vectors({"a": moved, "b": start}, stage_of("ab")))
    alive: list[Any] = []

    class Watched(Mapping[str, Tensor]):
        def __getitem__(self, weight: str) -> Tensor:
            assert sum(one() is not None for one in alive) <= 1
            change = merged[weight]
            alive.append(weakref.ref(change))
            return change

        def __iter__(self) -> Iterator[str]:
            return iter(merged)

        def __len__(self) -> int:
            return len(merged)

    method.become(Watched())
    assert len(alive) == len(start)
    with torch.no_grad():
        for key in list(start)[:5]:
            now = method.get_parameter(key.removeprefix("weights/"))
            assert torch.equal(now, start[key] + merged[key.removeprefix("weights/")])


class PeakOfDevice(TorchDispatchMode):
    """The most bytes that results of operations take at a time; those of `Tensor.cpu` do not count.

    What is on the CPU from the start counts as copied to the device where something is done to it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        monkeypatch.setattr(Tensor, "cpu", lambda tensor: self._moved_away(tensor))

    def _moved_away(self, tensor: Tensor) -> Tensor:
        copy = tensor.clone()
        del self._alive[copy.untyped_storage()._cdata]
        return copy

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {one.untyped_storage()._cdata for one in tree_leaves(args) if torch.is_tensor(one)}
        made = func(*args, **(kwargs or {}))
        for one in filter(torch.is_tensor, tree_leaves(made)):
            storage = one.untyped_storage()
            if storage._cdata not in given:
                self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: kept for key, kept in self._alive.items() if not kept[0].expired()}
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return made


@pytest.mark.parametrize("name", MERGING)
def test_a_merge_takes_as_much_of_a_device_for_many_weights_as_for_few(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    peaks = []
    for count in (3, 12):
        method = method_of(name, backbone)
        vectors = vectors_of({f"w{i}": floats(i, 3, 64, 64).tolist() for i in range(count)})
        with PeakOfDevice(monkeypatch) as device:
            merged = method.merge(vectors)
            if isinstance(method, Masked):
                merged = method.unified.expert("b")
            for weight in merged:
                merged[weight].add(1)
        peaks.append(device.most)
    assert peaks[1] < 1.1 * peaks[0]


def test_each_expert_is_measured_once(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    made, measured = {"w": floats(0, 3, 8).tolist()}, []
    method = method_of("ties", backbone)
    monkeypatch.setattr(
        "methods.merging.ties.smallest_kept",
        lambda *given: measured.append(1) or smallest_kept(*given),
    )
    first = merge(method, made)
    assert torch.equal(merge(method, made)["w"], first["w"])
    assert len(measured) == 3
    merge(method, made, seed=1)
    assert len(measured) == 6


@pytest.mark.parametrize("name", MERGING)
def test_experts_of_a_set_are_always_in_the_same_order(backbone: Backbone, name: str) -> None:
    method, experts = method_of(name, backbone), vectors_of({"w": [[1], [2], [3]]}, "bca").experts
    tasks = method.vectors(experts, stage_of("bca")).tasks
    assert tasks == (("a", "b", "c") if method.combines_over == "set" else ("b", "c", "a"))


@given(made=crowds(), data=st.data())
@pytest.mark.parametrize("name", RULES)
def test_names_and_their_order_do_not_matter(
    backbone: Backbone, name: str, made: Any, data: st.DataObject
) -> None:
    method = method_of(name, backbone, **RULES[name])
    tasks = "".join(data.draw(st.permutations("abcdef"[: len(made["w"])])))
    one = everything(method, made, seed=0)
    # The same experts under other names, in another order; nothing of the first merge is left.
    method.build()
    other = everything(method, made, tasks=tasks, seed=1)
    if isinstance(method, Masked):
        names = dict(zip("abcdef", tasks, strict=False))
        one = {names[key[0]] + key[1:]: change for key, change in one.items()}
    assert one.keys() == other.keys()
    for key, change in one.items():
        torch.testing.assert_close(other[key], change)


def test_magmax_takes_the_largest_and_of_two_the_positive(backbone: Backbone) -> None:
    made = {"w": [[1, -4, 2, -2, 0], [-3, 3, -2, 1, 0]]}
    assert merge(method_of("magmax", backbone, scale=1.0), made)["w"].tolist() == [-3, -4, 2, -2, 0]


def test_dare_scales_up_what_it_keeps(backbone: Backbone) -> None:
    made = {"w": floats(0, 1, 4000).tolist()}
    merged = merge(method_of("dare", backbone, drop=0.75, scale=1.0), made)["w"]
    tau = torch.tensor(made["w"][0])
    kept = merged != 0
    assert abs(float(kept.float().mean()) - 0.25) < 0.03
    torch.testing.assert_close(merged[kept], 4 * tau[kept])


def test_dare_leaves_the_mean_as_it_is(backbone: Backbone) -> None:
    made, method = {"w": floats(0, 2, 6).tolist()}, method_of("dare", backbone, scale=1.0)
    draws = torch.stack([merge(method, made, seed=seed)["w"] for seed in range(600)])
    expected = torch.tensor(made["w"]).sum(dim=0)
    error = draws.std(dim=0) / len(draws) ** 0.5
    assert ((draws.mean(dim=0) - expected).abs() < 4 * error).all()


@pytest.mark.parametrize(("then", "same_as"), [("linear", "task_arithmetic"), ("ties", "ties")])
def test_dare_that_drops_nothing_is_what_follows(
    backbone: Backbone, then: str, same_as: str
) -> None:
    made = {"w": floats(0, 3, 20).tolist()}
    options = {"density": 1.0} if then == "ties" else {}
    expected = merge(method_of(same_as, backbone, **options), made)["w"]
    merged = merge(method_of("dare", backbone, drop=0.0, then=then), made)["w"]
    torch.testing.assert_close(merged, expected)


def test_dare_with_ties_is_as_long_as_ties(backbone: Backbone) -> None:
    """Where all experts agree, both are what they agree on; entries that all drop are zero."""
    tau = floats(0, 1, 4000)[0]
    made, drop = {"w": tau.expand(6, 4000).tolist()}, 0.5
    merged = merge(method_of("dare", backbone, drop=drop, then="ties"), made)["w"]
    kept = merged != 0
    torch.testing.assert_close(merged[kept], tau[kept])
    assert abs(float((~kept).float().mean()) - drop**6) < 0.02


def test_chances_belong_to_replicate_task_and_weight() -> None:
    rows = torch.zeros(3, 7)
    both = vectors_of({"w": rows.tolist(), "v": rows.tolist()}, "abc")
    two = vectors_of({"w": rows[:2].tolist()}, "cb")
    chances = both.chances("w", rows)
    assert torch.equal(two.chances("w", rows[:2]), chances[[2, 1]])
    other = vectors_of({"w": rows.tolist()}, "abc", seed=1)
    different = [chances[0], chances[1], both.chances("v", rows)[0], other.chances("w", rows)[0]]
    assert len({tuple(values.tolist()) for values in different}) == 4


def test_randmix_draws_uniformly_and_lets_others_in(backbone: Backbone) -> None:
    method = method_of("randmix", backbone)
    rows = torch.arange(1.0, 4.0)[:, None].expand(3, 6000)
    three, two = (merge(method, {"w": rows[:n].tolist()})["w"] for n in (3, 2))
    shares = torch.bincount(three.int(), minlength=4)[1:] / 6000
    assert (shares - 1 / 3).abs().max() < 0.03
    assert torch.equal(three[three != 3], two[three != 3])


def test_consensus_keeps_what_enough_tasks_need(backbone: Backbone) -> None:
    """Entries: of one task alone, of two, of two that cancel out, of none."""
    made = {"w": [[5, 2, 1, 0], [0, 2, -1, 0], [0, 0, 0, 0]]}
    for agree, expected in ((2, [0, 4, 0, 0]), (1, [5, 4, 0, 0]), (9, [0, 0, 0, 0])):
        method = method_of("consensus", backbone, agree=agree, scale=1.0)
        assert merge(method, made)["w"].tolist() == expected
    alone = {"w": [[5, 2, 1, 0]]}
    assert merge(method_of("consensus", backbone, scale=1.0), alone)["w"].tolist() == [5, 2, 1, 0]


def test_tall_cuts_experts_out_that_do_not_overlap(backbone: Backbone) -> None:
    rows = floats(0, 3, 9) * torch.arange(9).remainder(3).eq(torch.arange(3)[:, None])
    method = method_of("tall", backbone)
    assert isinstance(method, Masked)
    assert merge(method, {"w": rows.tolist()}) == {}
    for task, row in zip("abc", rows, strict=True):
        torch.testing.assert_close(method.unified.expert(task)["w"], row)


def test_tall_compares_with_what_the_others_add(backbone: Backbone) -> None:
    """|tau_t| against half of |the others|: 2 > 1.5 but 1 < 1.5."""
    method = method_of("tall", backbone, threshold=0.5)
    assert isinstance(method, Masked)
    merge(method, {"w": [[2, 1], [3, 3]]})
    assert method.unified.expert("a")["w"].tolist() == [5, 0]
    assert method.unified.expert("b")["w"].tolist() == [5, 4]
