"""What the shell of another user brings along changes no number and stops nothing."""

import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sweep
from methods.testing.workbench import same
from sweep.cli.main import main
from sweep.engine import cluster
from sweep.errors import InputError
from sweep.single import run_single
from sweep.stage import trainer
from sweep.stage.launchers import LAUNCHED_AS, unasked_settings_hidden
from sweep.study.schema import Lanes, Study
from tests.sweep.test_single import study_for

UNASKED = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",  # would divide every loss by four
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    # A job script for eight processes; without the others Accelerate would wait for ever.
    "RANK": "3",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "8",
    "MASTER_ADDR": "10.255.255.1",
    "MASTER_PORT": "1",
}


@pytest.fixture
def study(models: Path) -> Study:
    return study_for(models, [("a", "b")], ["finetune"])


def test_settings_for_accelerate_change_no_number(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study.model_copy(
        update={"training": study.training.model_copy(update={"clip_norm": 0.1})}
    )
    plain, expected = run_single(study, "finetune", ("a", "b"))
    for name, value in UNASKED.items():
        monkeypatch.setenv(name, value)
    records, state = run_single(study, "finetune", ("a", "b"))
    assert state is not None
    assert expected is not None
    assert same(state, expected)
    assert [record.scores for record in records] == [record.scores for record in plain]
    assert {name: os.environ[name] for name in UNASKED} == UNASKED


def test_peers_that_are_there_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED_AS:
        monkeypatch.setenv(name, "2")
    with unasked_settings_hidden():
        assert not [name for name in LAUNCHED_AS if name in os.environ]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with unasked_settings_hidden():
        assert {os.environ[name] for name in LAUNCHED_AS} == {"2"}


@pytest.mark.parametrize(("gpus", "cpu"), [(0.0, True), (1.0, False), ("auto", False)])
def test_a_worker_without_a_gpu_leaves_those_it_sees_alone(
    study: Study, monkeypatch: pytest.MonkeyPatch, gpus: float | str, cpu: bool
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(trainer, "Accelerator", lambda **options: asked.update(options))
    lanes = study.lanes.model_copy(update={"gpus_per_worker": gpus})
    trainer.join_lane(study.model_copy(update={"lanes": lanes}))
    assert asked["cpu"] is cpu


STUDY = """
name: elsewhere
benchmark: {name: world, tasks: [shapes, colors], train: 16, test: 8}
backbones: [tiny-clip]
methods: [finetune]
design: {name: fixed, orders: [[shapes, colors]]}
training: {steps: 1, batch_size: 8}
"""
FAR_FROM_HOME = {
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "HF_HOME": "/proc/nowhere",
    "TZ": "Pacific/Kiritimati",
    "CUDA_VISIBLE_DEVICES": "",
}


@pytest.mark.slow
def test_a_study_runs_far_from_home(tmp_path: Path) -> None:
    """In a folder with a space, through a link, without a home or a cache, in no language."""
    folder = tmp_path / "ünï code"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    (tmp_path / "real").mkdir()
    (folder / "link").symlink_to(tmp_path / "real")
    out = f"Ärger {'x' * 120}"
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    root = str(Path(sweep.__file__).parent.parent)
    options = ["--method", "finetune", "--order", "shapes,colors", "--out", f"link/{out}"]
    ran = subprocess.run(
        [sys.executable, "-m", "sweep.cli.main", "trial", "study.yaml", *options],
        cwd=folder,
        env=environment | FAR_FROM_HOME | {"PYTHONPATH": root},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert len(list((tmp_path / "real" / out / "stages").iterdir())) == 3
    assert (tmp_path / "real" / out / "manifest.json").exists()


def test_names_that_a_terminal_cannot_print_are_written_in_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["plan", "Ärger.yaml"]) == 2
    terminal.flush()
    assert (
        terminal.buffer.getvalue() == rb"Error: Study file '\xc4rger.yaml' does not exist." + b"\n"
    )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[tiny-clip]", "{mine: {path: ~nobody-here/model}}"), "'~nobody-here/model'"),
        (
            (
                "{name: world, tasks: [shapes, colors], train: 16, test: 8}",
                "{name: folder, path: ~nobody-here}",
            ),
            "nobody-here' is not a folder",
        ),
    ],
)
def test_the_home_of_nobody_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace(*change))
    assert main(["plan", str(study)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.ray
@pytest.mark.usefixtures("no_ray")
def test_a_path_too_long_for_the_sockets_of_ray_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 90)))
    with pytest.raises(InputError, match=r"^Ray cannot start: .*AF_UNIX path length [^\n]*$"):
        cluster.connected(None, Lanes(count=1)).__enter__()


def test_an_address_where_nothing_listens_is_probed_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Ray itself would try for many minutes."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(cluster.ray, "init", lambda **_: pytest.fail("Ray was asked"))
        study = tmp_path / "study.yaml"
        study.write_text(STUDY)
        out = str(tmp_path / "out")
        assert main(["run", str(study), "--address", address, "--out", out]) == 2
        said = capsys.readouterr().err
        assert f"Error: --address '{address}' cannot be reached: [Errno 111]" in said
        assert not Path(out).exists()
        with pytest.raises(InputError, match=r"^--address 'ray://127.* cannot be reached: "):
            cluster.connected(f"ray://{address}", Lanes(count=1)).__enter__()
    with pytest.raises(InputError, match=r"^--address 'me' cannot be reached: "):
        cluster.connected("me", Lanes(count=1)).__enter__()


@pytest.mark.parametrize("tries", [1, 3])
def test_a_slow_start_of_ray_is_tried_again(monkeypatch: pytest.MonkeyPatch, tries: int) -> None:
    left = [tries]

    def slow(**_: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("Timed out waiting for file gcs_server_port\nand more")

    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "init", slow)
    if tries < cluster.STARTS:
        with cluster.connected(None, Lanes(count=1)):
            assert left == [-1]
    else:
        message = "^Ray cannot start: Timed out waiting for file gcs_server_port.$"
        with pytest.raises(InputError, match=message):
            cluster.connected(None, Lanes(count=1)).__enter__()


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(**_: object) -> None:
        raise ConnectionError("Ray is trying to start.\nDid you try it?")

    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "init", no_answer)
    monkeypatch.setattr(cluster.socket, "create_connection", lambda *_: io.BytesIO())
    message = r"^--address '10\.0\.0\.1:6379' cannot be reached: Ray is trying to start\.$"
    with pytest.raises(InputError, match=message):
        cluster.connected("10.0.0.1:6379", Lanes(count=1)).__enter__()
