"""No weights are held twice that do not differ, and large states are not held in memory."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods import held_tensors
from methods.base import State
from methods.held_tensors import on_disk
from methods.tools.teacher import Teacher
from sweep.stage.state_cache import StateCache
from sweep.storage.store import Record, Store
from tests.methods.opened import about_to_learn, batch_of, bench_of


def file_behind(tensor: Tensor) -> str:
    """Returns the file that a tensor is mapped from; "" if it is in memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, last = line.split(maxsplit=5)
        first, end = (int(place, 16) for place in span.split("-"))
        if first <= tensor.data_ptr() < end:
            return last if "/" in last else ""
    return ""


def large_state() -> State:
    """Returns a state whose tensors the system would put into memory of their own."""
    return {name: torch.randn(2**18, dtype=torch.float32) for name in ("weights/a", "extra/b")}


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8.0}])
def test_a_teacher_holds_what_its_student_trains(models: Path, lora: object) -> None:
    method, stage = about_to_learn(bench_of(models, "clip", "finetune", lora=lora), "a", "b")
    student, following = method.backbone, Teacher()
    following.follow(student)
    teacher = following.backbone
    own = {weight.data_ptr() for weight in student.parameters()}
    held = {n for n, weight in teacher.named_parameters() if weight.data_ptr() not in own}
    assert {f"backbone.{name}" for name in held} == set(method.trainable())
    assert not any(weight.requires_grad for weight in teacher.parameters())
    batch = batch_of(stage)
    student.eval()
    with torch.no_grad():
        before = student.logits(batch)
        for name in method.trainable():
            method.get_parameter(name).add_(0.05)
        after = student.logits(batch)
        assert torch.equal(teacher.logits(batch), before)
        assert not torch.allclose(after, before, atol=1e-3)
        following.follow(student)
        assert following.backbone is teacher
        assert torch.equal(teacher.logits(batch), after)


def test_a_teacher_does_not_train_its_student(models: Path) -> None:
    """What they share stays as it is in the student: in its optimiser, and in its mode."""
    lwf, _ = about_to_learn(bench_of(models, "clip", "lwf"), "a")
    trained = {name for name, weight in lwf.named_parameters() if weight.requires_grad}
    Teacher().follow(lwf.backbone)
    assert trained == set(lwf.trainable())
    assert {name for name, weight in lwf.named_parameters() if weight.requires_grad} == trained
    assert lwf.backbone.training


def test_the_untouched_weights_are_in_a_file(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = large_state()
    assert on_disk(state) is state  # of which nobody needs a file
    monkeypatch.setattr(held_tensors, "_SMALL", 0)
    held = on_disk(state)
    assert all(torch.equal(held[name], tensor) for name, tensor in state.items())
    assert all(file_behind(held[name]).endswith("(deleted)") for name in held)
    assert not any(file_behind(tensor) for tensor in state.values())
    lwf, _ = about_to_learn(bench_of(models, "clip", "finetune"), "a", "b")
    name = next(name for name in lwf.trainable() if name.endswith("fc1.weight"))
    assert file_behind(lwf._initial[f"weights/{name}"])
    moved = lwf.get_parameter(name).detach().clone()
    lwf.reset(0)
    assert not torch.equal(lwf.get_parameter(name), moved)
    with torch.no_grad():
        lwf.get_parameter(name).zero_()
    lwf.reset(0)
    assert lwf.get_parameter(name).abs().sum() > 0


def test_without_room_on_the_disk_they_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(held_tensors, "_SMALL", 0)
    monkeypatch.setattr("safetensors.torch.save_file", full)
    state = large_state()
    assert on_disk(state) is state


def test_states_lie_where_torch_would_put_them(tmp_path: Path) -> None:
    """Sums over data that lie otherwise round otherwise: going on would not be bit for bit."""
    store = Store(str(tmp_path))
    saved = {"x": torch.ones(3), "weights/w": torch.randn(33, 7), "extra/b": torch.randn(5)}
    store.save(Record(key="k"), saved)
    state = store.state("k")
    assert all(torch.equal(state[name], tensor) for name, tensor in saved.items())
    assert all(tensor.data_ptr() % 64 == 0 for tensor in state.values())


def test_a_large_state_is_read_again_instead_of_kept() -> None:
    read: list[str] = []

    def load(key: str) -> State:
        read.append(key)
        return large_state()

    cache = StateCache(load, spare=2**20)
    cache["large"] = large_state()
    cache["small"] = {"weights/a": torch.zeros(9)}
    assert list(cache) == ["small"]
    assert cache["large"]
    assert read == ["large"]
    cache.make_room(["large"])
    assert set(cache) == {"small", "large"}
    cache.make_room(["small"])
    assert set(cache) == {"small"}
