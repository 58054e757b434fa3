"""A server that answers as the hub does; what it answers is up to a subclass."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.sweep.sources import COMMIT

CONSTANTS = "huggingface_hub.constants"


class HubAnswers(BaseHTTPRequestHandler):
    """Sends files with the headers that the hub's client reads."""

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        """Tells about a file."""
        self.answer(False)

    def do_GET(self) -> None:
        """Gives a file, or what else is asked for."""
        self.answer(True)

    def answer(self, whole: bool) -> None:
        """Answers a request, with the content if it is asked for."""
        raise NotImplementedError

    def send(self, content: bytes, whole: bool, status: int = 200, error: str = "") -> None:
        """Sends a content, or only its headers."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if whole:
            self.wfile.write(content)


@contextmanager
def serving(handler: type[HubAnswers], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serves on this machine, and makes the hub's client ask there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(f"{CONSTANTS}.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(f"{CONSTANTS}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_DISABLE_XET", True)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
