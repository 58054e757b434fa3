"""A study whose folder is in an object store: a server of its own that speaks S3."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import fs

from tests.sweep.test_faults import Driver, check_killing, scores

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1200)]
pytest.importorskip("moto", reason="the S3 server of the dev extra is not installed")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a bucket, for this process and those that it starts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "server.txt").open("w") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        endpoint = f"127.0.0.1:{port}"
        _wait_for(server, port)
        store = fs.S3FileSystem(
            endpoint_override=endpoint, scheme="http", allow_bucket_creation=True
        )
        store.create_dir("bucket")
        yield f"s3://bucket/study?endpoint_override={endpoint}&scheme=http"
    finally:
        server.kill()
        server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def test_a_killed_worker_costs_at_most_its_stage_in_an_object_store(
    bucket: str, models: Path, tmp_path: Path
) -> None:
    calm = Driver(models, tmp_path / "calm")  # on a disk
    driver = None
    try:
        assert calm.process.wait(600) == 0
        undisturbed: pd.DataFrame = scores(calm.out)
        driver = Driver(models, bucket)
        check_killing(driver, undisturbed, "worker")
        assert len(driver.finished()) == 65
    finally:
        calm.end()
        if driver:
            driver.end()
