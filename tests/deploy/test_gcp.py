"""deploy/gcp.yaml, by Ray's own launcher and Google's description of its compute interface."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import googleapiclient
import httplib2
import pytest
import ray.autoscaler._private.gcp.config as config_module
import ray.autoscaler._private.gcp.node_provider as provider_module
from googleapiclient import discovery
from ray.autoscaler._private.gcp.node import GCPCompute
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.deploy.deployed import GCP, check_commands, load, with_error
from tests.deploy.scheduling import launched

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
COMPUTE = json.loads((DOCUMENTS / "compute.v1.json").read_text("utf-8"))
TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
MACHINES = {"n2-standard-8": (8, 0), "g2-standard-4": (4, 1)}
"""CPUs and GPUs of machine types, by Google's documentation of machine families."""
ROLES = ("roles/storage.objectAdmin", "roles/compute.admin", "roles/iam.serviceAccountUser")


class FreshProject:
    """Answers what Ray's launcher asks Google, and keeps what it orders."""

    def __init__(self) -> None:
        self.machines: list[dict[str, Any]] = []
        self.bindings: list[dict[str, Any]] = []

    def request(
        self, uri: str, method: str = "GET", body: Any = None, **_: Any
    ) -> tuple[httplib2.Response, bytes]:
        content = json.dumps(self.answer(uri.partition("?")[0], method, body)).encode()
        return httplib2.Response({"status": "200", "content-type": "application/json"}), content

    def close(self) -> None:
        """As clients ask for."""

    def answer(self, address: str, method: str, body: Any) -> dict[str, Any]:
        if address.endswith(":getIamPolicy"):
            return {"bindings": self.bindings}
        if address.endswith(":setIamPolicy"):
            self.bindings = json.loads(body)["policy"]["bindings"]
            return {}
        if "/serviceAccounts/" in address:
            return {"email": address.rpartition("/")[2], "projectId": "my-project"}
        if "cloudresourcemanager" in address:
            return {"projectId": "my-project", "lifecycleState": "ACTIVE"}
        if address.endswith("/subnetworks"):
            return {"items": [{"selfLink": "projects/my-project/regions/R/subnetworks/default"}]}
        if address.endswith("/instances") and method == "POST":
            self.machines.append(json.loads(body))
        if "/operations/" in address or address.endswith(
            ("/instances", "setCommonInstanceMetadata")
        ):
            return {"name": "operation", "status": "DONE"}
        return {"name": "my-project", "commonInstanceMetadata": {"items": []}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FreshProject]:
    asked = FreshProject()
    names = (("cloudresourcemanager", "v1"), ("iam", "v1"), ("compute", "v1"))
    clients = [discovery.build(name, version, http=asked) for name, version in names]
    for module in (config_module, provider_module):
        monkeypatch.setattr(
            module, "construct_clients_from_provider_config", lambda _: (*clients, None)
        )
    monkeypatch.setattr(GCPCompute, "get_new_authorized_http", lambda *_: asked)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield asked
    for client in clients:
        client.close()


def problems(value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
    """What Google's description of an object has against a value: names, types, values."""
    schema = COMPUTE["schemas"][schema["$ref"]] if "$ref" in schema else schema
    kind = schema["type"]
    if kind == "object" and isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, item in value.items():
            if key not in known and not others:
                yield f"{place}/{key} is not known"
            else:
                yield from problems(item, known.get(key, others), f"{place}/{key}")
    elif kind == "array" and isinstance(value, list):
        for item in value:
            yield from problems(item, schema["items"], place)
    elif schema.get("format") in ("int64", "uint64"):  # Google sends them as strings, takes both
        if not isinstance(value, int | str):
            yield f"{place}: {value!r} is no {kind}"
    elif kind not in TYPES or not isinstance(value, TYPES[kind]):
        yield f"{place}: {value!r} is no {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"


def start(config: dict[str, Any], project: FreshProject) -> list[dict[str, Any]]:
    """Starts a machine of each type as Ray does; returns the orders.

    Raises what Ray or Google would have against the file.
    """
    check_commands(config)
    prepared = prepare_config(config)
    validate_config(prepared)
    launcher = config_module.bootstrap_gcp(prepared)
    provider = provider_module.GCPNodeProvider(launcher["provider"], launcher["cluster_name"])
    zone = launcher["provider"]["availability_zone"]
    for name, node_type in launcher["available_node_types"].items():
        is_head = name == launcher["head_node_type"]
        # Ray adds these to the machine that it starts first.
        node = node_type["node_config"] | (launcher["head_node"] if is_head else {})
        provider.create_node(node, {"ray-node-name": f"ray-{name}".replace("_", "-")}, 1)
        order = project.machines[-1]
        found = list(problems(order, {"$ref": "Instance"}, name))
        assert not found, found
        cpus, gpus = MACHINES[order["machineType"].rpartition("/")[2]]
        given = sum(one["acceleratorCount"] for one in order.get("guestAccelerators", []))
        assert given == gpus, f"{name}: GPUs of the machine"
        expected = {"CPU": 0, "GPU": 0} if is_head else {"CPU": cpus, "GPU": gpus}
        assert node_type["resources"] == expected, f"{name}: resources"
        zones = re.findall(r"zones/([\w-]+)/", json.dumps(order))
        assert set(zones) == {zone}, f"{name} is in {zones}"
        (account,) = order["serviceAccounts"]
        head_account = launcher["head_node"]["serviceAccounts"][0]
        assert account == head_account, f"{name} cannot write to the bucket"
    return project.machines


def test_a_machine_of_each_type_starts_in_a_fresh_project(project: FreshProject) -> None:
    head, spot, other = start(load(GCP), project)
    assert spot["scheduling"]["provisioningModel"] == "SPOT"
    assert "provisioningModel" not in head["scheduling"] | other["scheduling"]
    granted = {binding["role"] for binding in project.bindings}
    assert set(ROLES) <= granted


WORKER = "available_node_types/spot_l4/node_config"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("provider/availability_zone", "us-central1-b", "is in"),
        ("max_workers>max_worker", None, "max_worker"),
        (f"{WORKER}/scheduling/provisioningModel>provisionModel", None, "provisionModel"),
        (f"{WORKER}/scheduling/provisioningModel", "Spot", "Spot"),
        (f"{WORKER}/scheduling/automaticRestart", "no", "automaticRestart"),
        (f"{WORKER}/scheduling", [{"provisioningModel": "SPOT"}], "scheduling"),
        (f"{WORKER}/disks/0/initializeParams/diskSizeGb>diskSize", None, "diskSize"),
        (f"{WORKER}/serviceAccounts/0/email", "me@my-project.iam.gserviceaccount.com", "bucket"),
        (f"{WORKER}/guestAccelerators/0/acceleratorCount", 2, "GPUs"),
        ("available_node_types/spot_l4/resources/GPU", 2, "resources"),
        ("worker_start_ray_commands/1", "ray start --adress=$RAY_HEAD_IP:6379", "--adress"),
    ],
)
def test_an_error_is_found(project: FreshProject, place: str, value: Any, said: str) -> None:
    with pytest.raises(Exception, match=said):
        start(with_error(load(GCP), place, value), project)


def test_spot_machines_come_first_and_others_only_where_there_are_none() -> None:
    config = load(GCP)
    assert launched(config, 3) == {"spot_l4": 3}
    assert launched(config, 3, refused=("spot_l4",)) == {"on_demand_l4": 3}
