"""A notice of the cloud reaches Ray, with a server that answers as the clouds do."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deploy.deployed import DEPLOY, check_program

SCRIPT = (DEPLOY / "watch_spot.py").read_text("utf-8")
QUIET = 3
"""How often a server is asked in vain before it has a notice."""
ENOUGH = 40
"""Questions after which nobody will tell Ray any more."""
RAY = """#!/bin/sh
printf '%s\\n' "$@" > "$NOTES.new" && mv "$NOTES.new" "$NOTES"
echo >> "$NOTES.calls"
[ "$(wc -l < "$NOTES.calls")" -gt 1 ]
"""
"""A `ray` that notes its arguments and fails when it is first called."""


class Cloud(ThreadingHTTPServer):
    """A metadata server: of AWS, which wants a token, or of GCP, which wants a header."""

    daemon_threads = True

    def __init__(self, has_notice: bool) -> None:
        self.has_notice, self.asked, self.tokens = has_notice, 0, set[str]()
        self.requests = 0
        super().__init__(("127.0.0.1", 0), Answer)

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        self.requests += 1
        if path == "/latest/api/token":
            seconds = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if method != "PUT" or not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
                return 400, "Bad Request"
            self.tokens.add(token := f"token-{len(self.tokens)}")
            return 200, token
        self.asked += 1
        is_due = self.has_notice and self.asked > QUIET
        if path == "/latest/meta-data/spot/instance-action":
            if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
                return 401, "Unauthorized"
            until = datetime.now(UTC) + timedelta(seconds=120)
            notice = {"action": "terminate", "time": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
            return (200, json.dumps(notice)) if is_due else (404, "Not Found")
        if path == "/computeMetadata/v1/instance/preempted":
            if headers.get("metadata-flavor") != "Google":
                return 403, "Forbidden"
            return 200, "TRUE" if is_due else "FALSE"
        return 404, "Not Found"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Cloud)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, text = self.server.answer(self.command, self.path, headers)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_PUT = do_GET

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(has_notice: bool) -> Iterator[Cloud]:
    with Cloud(has_notice) as cloud:
        thread = threading.Thread(target=cloud.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cloud
        finally:
            cloud.shutdown()
            thread.join()


def told(script: str, cloud_name: str, folder: Path, has_notice: bool = True) -> list[str] | None:
    """Runs a script until it ends by itself; returns what it last told `ray`.

    None if it did not end, although it has asked often enough.
    """
    file, notes, ray = folder / "watch.py", folder / "notes", folder / "bin" / "ray"
    ray.parent.mkdir()
    ray.write_text(RAY)
    ray.chmod(0o755)
    file.write_text(script)
    path = f"{ray.parent}{os.pathsep}{os.environ['PATH']}"
    with serving(has_notice) as cloud:
        address = f"http://127.0.0.1:{cloud.server_port}"
        # As a proxy the server knows no path.
        others = {"PATH": path, "NOTES": str(notes), "http_proxy": address, "no_proxy": ""}
        process = subprocess.Popen(
            [sys.executable, str(file), cloud_name, "--server", address, "--every", "0.01"],
            env=os.environ | others,
            stderr=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None and cloud.requests < ENOUGH:
                time.sleep(0.01)
            ended = process.poll()
        finally:
            process.kill()
            process.wait()
    return notes.read_text().splitlines() if ended == 0 and notes.exists() else None


def check(script: str, cloud: str, folder: Path) -> None:
    """Checks that Ray is told that this machine goes, in time, and again if it did not listen."""
    arguments = told(script, cloud, folder)
    assert arguments is not None, "Ray is not told"
    check_program(["ray", *arguments])
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert arguments[0] == "drain-node"
    assert given["--reason"] == "DRAIN_NODE_REASON_PREEMPTION"
    seconds = int(given["--deadline-remaining-seconds"])
    # A loaded machine may take a while between the notice and this.
    assert 60 < seconds <= 110 if cloud == "aws" else seconds == 20, "not in time"
    assert len((folder / "notes.calls").read_text().splitlines()) > 1, "not told again"


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_ray_is_told_of_a_notice(cloud: str, tmp_path: Path) -> None:
    check(SCRIPT, cloud, tmp_path)


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_ray_hears_nothing_without_a_notice(cloud: str, tmp_path: Path) -> None:
    assert told(SCRIPT, cloud, tmp_path, has_notice=False) is None
    assert not (tmp_path / "notes.calls").exists()


@pytest.mark.parametrize(
    ("cloud", "right", "wrong"),
    [
        ("aws", '"PUT"', '"GET"'),
        ("aws", "X_aws_ec2_metadata_token=token", "X_aws_metadata_token=token"),
        ("aws", "spot/instance-action", "spot/instance_action"),
        ("aws", "ProxyHandler({})", "ProxyHandler()"),
        ("aws", "            if drain(seconds):\n                return", "            return"),
        ("aws", "seconds - MARGIN_SECONDS", "seconds - 100 * MARGIN_SECONDS"),
        ("gcp", 'Metadata_Flavor="Google"', 'Metadata_Flavour="Google"'),
        ("gcp", '== "TRUE"', '== "True"'),
        ("gcp", "DRAIN_NODE_REASON_PREEMPTION", "PREEMPTION"),
        ("gcp", '"--reason-message"', '"--message"'),
    ],
)
def test_an_error_is_found(cloud: str, right: str, wrong: str, tmp_path: Path) -> None:
    assert right in SCRIPT
    with pytest.raises((AssertionError, KeyError)):
        check(SCRIPT.replace(right, wrong), cloud, tmp_path)
