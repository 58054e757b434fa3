"""Tells Ray when the cloud is about to take this machine away, so that its work moves in time.

Ray itself does not watch for the notices of a cloud. This runs on every spot machine, needs nothing
but Python, and calls the `ray` on PATH: `python watch_spot.py aws`, or `gcp`.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

SERVERS = {"aws": "http://169.254.169.254", "gcp": "http://metadata.google.internal"}
"""Where a machine asks what its cloud knows of it."""
TOKEN_SECONDS = 21600
"""How long AWS lets a token live at most; every question gets a new one all the same."""
GCP_SECONDS = 30
"""How long GCP leaves a machine after the notice; AWS says until when."""
MARGIN_SECONDS = 10
"""How much earlier the work has to be gone."""
ANSWER_SECONDS = 2.0
"""How long the server may take to answer."""
DRAIN_SECONDS = 30
"""How long `ray drain-node` may take."""
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without any proxy: the servers are on the machine's own link."""


def ask(url: str, method: str = "GET", **headers: str) -> str | None:
    """Returns what a server answers; None if it has nothing to say, or does not answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=sent)
    try:
        with OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def seconds_left_on_aws(server: str) -> float | None:
    """Returns how long AWS leaves this machine; None if there is no notice."""
    token = ask(
        f"{server}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds=str(TOKEN_SECONDS)
    )
    if token is None:
        return None
    notice = ask(
        f"{server}/latest/meta-data/spot/instance-action", X_aws_ec2_metadata_token=token.strip()
    )
    if notice is None:
        return None
    until = datetime.fromisoformat(json.loads(notice)["time"])
    return (until - datetime.now(UTC)).total_seconds()


def seconds_left_on_gcp(server: str) -> float | None:
    """Returns how long GCP leaves this machine; None if there is no notice."""
    answer = ask(f"{server}/computeMetadata/v1/instance/preempted", Metadata_Flavor="Google")
    return GCP_SECONDS if answer is not None and answer.strip() == "TRUE" else None


NOTICES = {"aws": seconds_left_on_aws, "gcp": seconds_left_on_gcp}


def drain(seconds: float) -> bool:
    """Has Ray move what this machine works on; returns whether Ray has agreed."""
    command = ["ray", "drain-node", "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    command += ["--reason-message", "The cloud takes this machine away."]
    command += ["--deadline-remaining-seconds", str(max(1, int(seconds - MARGIN_SECONDS)))]
    try:
        return subprocess.run(command, check=False, timeout=DRAIN_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"ray drain-node could not be run: {error}.", file=sys.stderr, flush=True)
        return False


def watch(cloud: str, server: str, every: float) -> None:
    """Waits for a notice, and returns once Ray knows of it.

    Args:
        cloud: A key of `NOTICES`.
        server: URL of the metadata server.
        every: Seconds between two questions.
    """
    while True:
        seconds = NOTICES[cloud](server)
        if seconds is not None:
            print(f"Notice: {seconds:.0f} s are left.", flush=True)
            if drain(seconds):
                return
        time.sleep(every)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cloud", choices=sorted(NOTICES))
    parser.add_argument("--server", help="URL of the metadata server; default: that of the cloud.")
    parser.add_argument("--every", type=float, default=2.0, help="Seconds between questions.")
    given = parser.parse_args()
    watch(given.cloud, given.server or SERVERS[given.cloud], given.every)


if __name__ == "__main__":
    main()
