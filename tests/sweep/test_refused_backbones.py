"""Backbones that cannot be used: `plan`, `trial` and `run` say why, and nothing starts."""

import json
import socket
from pathlib import Path

import pytest
import yaml
from transformers import AutoModel

from methods.testing.tiny_models import VOCABULARY, save_clip
from sweep import file_digests, hub
from sweep.cli.main import main

VERBS = {
    "plan": ("plan",),
    "run": ("run", "--out", "out"),
    "trial": ("trial", "--method", "finetune", "--order", "colors,shapes"),
}


@pytest.fixture(autouse=True)
def _nothing_may_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("it has started")

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "800")
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory.sqlite")
    monkeypatch.setattr("sweep.engine.driver.connected", start)
    monkeypatch.setattr(AutoModel, "from_pretrained", start)


def said_of(capsys: pytest.CaptureFixture[str], verb: str, **backbone: str) -> str:
    """The error of a verb: one line, exit code 2, nothing written."""
    study = {
        "name": "refused",
        "benchmark": {"name": "world", "tasks": ["shapes", "colors"], "train": 32, "test": 8},
        "backbones": {"mine": backbone},
        "methods": ["finetune"],
        "training": {"steps": 2, "batch_size": 8},
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    name, *arguments = VERBS[verb]
    assert main([name, "study.yaml", *arguments]) == 2
    assert sorted(Path().iterdir()) == [Path("study.yaml")]
    said = capsys.readouterr()
    assert not said.out
    assert len(said.err.strip().splitlines()) == 1
    return said.err


@pytest.mark.parametrize("verb", VERBS)
class TestEveryVerb:
    def test_refuses_a_family(
        self, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "flava"}))
        said = said_of(capsys, verb, path=str(tmp_path))
        assert "is a flava model; allowed are dual encoders" in said

    def test_misses_weights(
        self, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = save_clip(tmp_path / "clip", VOCABULARY)
        Path(folder, "model.safetensors").unlink()
        assert "has no weights: there is no" in said_of(capsys, verb, path=folder)

    def test_misses_a_package(
        self,
        verb: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from transformers import AutoTokenizer

        def load(*_: object, **__: object) -> None:
            raise ImportError("\nMine requires the SentencePiece library but it was not found in")

        folder = save_clip(tmp_path / "clip", VOCABULARY)
        monkeypatch.setattr(AutoTokenizer, "from_pretrained", load)
        monkeypatch.setattr("methods.backbones.consistency.find_spec", lambda _: None)
        said = said_of(capsys, verb, path=folder)
        assert "needs the package sentencepiece" in said
        assert "`pip install 'task-order-sweep[models]'`" in said

    def test_does_not_wait_for_a_silent_hub(
        self, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            address = f"http://127.0.0.1:{server.getsockname()[1]}"
            constants = "huggingface_hub.constants"
            monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
            template = address + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
            monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.5)
            assert "does not answer within 0.5 seconds" in said_of(capsys, verb, path="me/mine")

    def test_knows_no_revision_of_a_folder(
        self, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = save_clip(tmp_path / "clip", VOCABULARY)
        assert "leave revision out" in said_of(capsys, verb, path=folder, revision="v1")
