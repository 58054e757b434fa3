"""What identifies a model: the files of a folder, or a commit of a hub that may not answer."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sweep import file_digests, hub
from sweep.errors import InputError
from sweep.hub import commit_of, digest
from sweep.study.backbones import BackboneConfig, find_source
from tests.sweep.hub_server import HubAnswers, serving

COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def _nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors", "sub/tokenizer.json"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    return tmp_path / "model"


@pytest.mark.parametrize(
    "name",
    [
        *("chat_template.jinja", "chat_template.json", "additional_chat_templates/tool.jinja"),
        *("processor_config.json", "merges.txt", "spiece.model", "tekken.json", "modeling.py"),
        *("vocab.unknownkind", "scheduler/scheduler_config.json", "pytorch_model.bin", "bpe"),
    ],
)
def test_every_file_that_may_matter_counts(folder: Path, name: str) -> None:
    before = digest(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("one")
    added = digest(folder)
    (folder / name).write_text("another")
    assert len({before, added, digest(folder)}) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "LICENSE", ".git/HEAD", ".cache/huggingface/x.json", ".gitattributes"),
        *("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "trainer_state.json"),
        *("training_args.bin", "runs/events", "checkpoint-500/model.safetensors", "sample.png"),
        *("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "onnx/model.onnx", "q4.gguf"),
        *("__pycache__/modeling.pyc", "events.out.tfevents.1"),
    ],
)
def test_what_no_model_is_loaded_from_does_not(folder: Path, name: str) -> None:
    before = digest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("one")
    assert digest(folder) == before


def test_a_revision_of_a_folder_is_refused(folder: Path) -> None:
    message = r"backbone '{}' is a folder, and revision 'v2' would be one of the hub; leave"
    with pytest.raises(InputError, match=message.format(folder)):
        find_source(BackboneConfig(path=str(folder), revision="v2"))
    with pytest.raises(InputError, match=message.format("tiny-clip")):
        find_source(BackboneConfig(path="tiny-clip", revision="v2"))


@pytest.fixture(params=["closed", "mute", "busy"])
def dead_hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub behind a closed port, one that takes calls and says nothing, one that is overloaded."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        constants = "huggingface_hub.constants"
        monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(f"{constants}.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.5)
        if request.param != "closed":
            server.listen()
        if request.param == "busy":
            threading.Thread(target=serve_errors, args=(server,), daemon=True).start()
        yield


def serve_errors(server: socket.socket) -> None:
    """Answers that it is overloaded, until its socket is closed."""
    with suppress(OSError):
        while True:
            call, _ = server.accept()
            with call:
                call.recv(65536)
                call.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.usefixtures("dead_hub")
def test_a_hub_that_does_not_answer_is_one_sentence_within_seconds() -> None:
    started = time.monotonic()
    with pytest.raises(InputError) as error:
        find_source(BackboneConfig(path="me/mine"))
    assert time.monotonic() - started < 5
    assert "backbone 'me/mine' is neither a folder nor reachable on the hub: the hub" in str(
        error.value
    )
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("dead_hub")
def test_what_is_in_the_cache_needs_no_hub(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--me--mine"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots" / COMMIT).mkdir(parents=True)
    (cached / "snapshots" / COMMIT / "config.json").write_text("{}")
    started = time.monotonic()
    assert commit_of("backbone", "me/mine", None, "config.json") == COMMIT
    assert time.monotonic() - started < 5


class OpenClipModel(HubAnswers):
    """A repository as MobileCLIP's, without a config.json."""

    def answer(self, whole: bool) -> None:
        """Knows one file."""
        is_there = self.path.endswith("/open_clip_config.json")
        self.send(b"{}", whole, *(() if is_there else (404, "EntryNotFound")))


def test_models_of_openclip_are_refused_with_what_to_give_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "is an OpenCLIP model .* give a copy in the form of transformers"
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match=said):
        find_source(BackboneConfig(path=str(tmp_path)))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving(OpenClipModel, monkeypatch), pytest.raises(InputError, match=said):
        find_source(BackboneConfig(path="me/mobile"))
    (tmp_path / "config.json").write_text("{}")  # of a repository with both forms
    assert find_source(BackboneConfig(path=str(tmp_path))).config.path == str(tmp_path)
