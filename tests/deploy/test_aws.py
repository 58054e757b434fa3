"""cluster.yaml, by Ray's own launcher in an account of moto, and by botocore's model of EC2."""

import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
import ray.autoscaler._private.aws.node_provider as provider_module
from cfnlint.decode.cfn_yaml import loads
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import (
    TAG_RAY_LAUNCH_CONFIG,
    TAG_RAY_NODE_KIND,
    TAG_RAY_USER_NODE_TYPE,
)

from tests.deploy.deployed import AWS, DEPLOY, check_commands, load, with_error
from tests.deploy.scheduling import launched

REGION = "us-east-1"
TEMPLATE = loads((DEPLOY / "aws-profile.yaml").read_text("utf-8"))
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(scope="session")
def instance_types() -> list[dict[str, Any]]:
    """What AWS says of the machines of the file, as moto has it: all of them take a minute."""
    types = load(AWS)["available_node_types"].values()
    names = sorted({node_type["node_config"]["InstanceType"] for node_type in types})
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in CREDENTIALS:
            patch.setenv(name, "testing")
        client = boto3.client("ec2", region_name=REGION)
        return list(client.describe_instance_types(InstanceTypes=names)["InstanceTypes"])


@pytest.fixture
def account(
    instance_types: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A fresh account in which deploy/aws-profile.yaml has been deployed, and a fresh HOME."""
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(provider_module, "list_ec2_instances", lambda *_: instance_types)
    with mock_aws():
        iam = boto3.client("iam")
        for name in profiles():
            iam.create_instance_profile(InstanceProfileName=name)
        yield


def profiles() -> dict[str, str]:
    """The names of the instance profiles of the template, each with the key of its role."""
    found = {}
    for made in TEMPLATE["Resources"].values():
        if made["Type"] == "AWS::IAM::InstanceProfile":
            (role,) = made["Properties"]["Roles"]
            found[str(made["Properties"]["InstanceProfileName"])] = str(role["Ref"])
    return found


def unknown_values(shape: Any, value: Any, place: str = "") -> Iterator[str]:
    """Values that botocore's model of a call does not list, which botocore itself lets pass."""
    if shape.type_name == "structure":
        for key, item in value.items():
            yield from unknown_values(shape.members[key], item, f"{place}/{key}")
    elif shape.type_name == "list":
        for item in value:
            yield from unknown_values(shape.member, item, place)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{place}: {value}"


def start(config: dict[str, Any]) -> list[Mapping[str, Any]]:
    """Starts a machine of each type as Ray does; returns the calls to RunInstances.

    Raises what Ray, botocore or EC2 would have against the file.
    """
    check_commands(config)
    asked = prepare_config(config)
    validate_config(asked)
    filled = AWSNodeProvider.fillout_available_node_types_resources(asked)
    launcher = bootstrap_aws(filled)
    provider = AWSNodeProvider(launcher["provider"], launcher["cluster_name"])
    with noted(provider.ec2_fail_fast, "provide-client-params.ec2.RunInstances") as notes:
        create(provider, asked, launcher)
    calls = [note["params"] for note in notes]
    model = botocore.session.get_session().get_service_model("ec2")
    shape = model.operation_model("RunInstances").input_shape
    unknown = [found for call in calls for found in unknown_values(shape, call)]
    assert not unknown, f"EC2 does not know {unknown}"
    return calls


@contextmanager
def noted(resource: Any, event: str) -> Iterator[list[dict[str, Any]]]:
    """What botocore says at an event. Ray keeps its clients, so they outlive a test."""
    events, notes = resource.meta.client.meta.events, []
    events.register(event, note := lambda **said: notes.append(said))
    try:
        yield notes
    finally:
        events.unregister(event, note)


def create(provider: AWSNodeProvider, asked: dict[str, Any], launcher: dict[str, Any]) -> None:
    """Starts a machine of each type."""
    for name, node_type in launcher["available_node_types"].items():
        is_head = name == launcher["head_node_type"]
        given, node = asked["available_node_types"][name], node_type["node_config"]
        assert node["ImageId"] == given["node_config"]["ImageId"], "Ray takes another image"
        assert "IamInstanceProfile" in node, f"{name} cannot write to S3"
        detected = {} if is_head else node_type["resources"]
        machine = AWSNodeProvider.fillout_available_node_types_resources(
            with_error(asked, f"available_node_types/{name}/resources", {})
        )["available_node_types"][name]["resources"]
        assert detected.get("GPU", 0) == (0 if is_head else machine["GPU"]), f"{name}: GPUs"
        tags = {
            TAG_RAY_NODE_KIND: "head" if is_head else "worker",
            TAG_RAY_LAUNCH_CONFIG: "hash",
            TAG_RAY_USER_NODE_TYPE: name,
        }
        provider.create_node(node, tags, 1)


def test_a_machine_of_each_type_starts_in_a_fresh_account(account: None) -> None:
    calls = start(load(AWS))
    assert [call["InstanceType"] for call in calls] == [
        "m6i.2xlarge",
        "g6.xlarge",
        "g5.xlarge",
        "g6.xlarge",
    ]
    markets = [call.get("InstanceMarketOptions", {}).get("MarketType") for call in calls]
    assert markets == [None, "spot", "spot", None]
    assert all(call["ImageId"].startswith("resolve:ssm:/aws/service/") for call in calls)
    given = [call["IamInstanceProfile"]["Name"] for call in calls]
    assert given == ["task-order-sweep-head"] + 3 * ["task-order-sweep-worker"]


WORKER = "available_node_types/spot_g6/node_config"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("max_workers>max_worker", None, "max_worker"),
        ("head_node_type", "heads", "head_node_type"),
        ("available_node_types/spot_g6/priority", "high", "high"),
        (f"{WORKER}/InstanceMarketOptions>InstanceMarketOption", None, "InstanceMarketOption"),
        (f"{WORKER}/InstanceMarketOptions/MarketType", "spott", "spott"),
        (f"{WORKER}/InstanceType", "g6.xxlarge", "g6.xxlarge"),
        (f"{WORKER}/BlockDeviceMappings/0/Ebs/VolumeType", "gp5", "gp5"),
        (f"{WORKER}/IamInstanceProfile/Name", "task-order-sweep-workers", "not found"),
        (f"{WORKER}/IamInstanceProfile", None, "cannot write to S3"),
        (f"{WORKER}/ImageId", "latest_dlami", "another image"),
        ("available_node_types/spot_g6/resources/GPU", 4, "GPUs"),
        ("head_start_ray_commands/1", "ray start --head --num-cpu=0", "--num-cpu"),
        ("file_mounts/~/task-order-sweep/sweep", "swep", "swep"),
        ("worker_setup_commands/0", "bash ~/task-order-sweep/deploy/setup.sh", "is not there"),
    ],
)
def test_an_error_is_found(account: None, place: str, value: Any, said: str) -> None:
    if place.startswith("file_mounts/"):
        config = load(AWS)
        config["file_mounts"][place.removeprefix("file_mounts/")] = value
    else:
        config = with_error(load(AWS), place, value)
    with pytest.raises(BaseException, match=said):
        start(config)


def test_spot_machines_come_first_and_others_only_where_there_are_none() -> None:
    config = load(AWS)
    assert launched(config, 2) == {"spot_g6": 2}
    # Of 17 machines, `max_workers` and the head, all are workers here, where there is no head.
    assert launched(config, 18) == {"spot_g6": 16, "spot_g5": 1}
    assert launched(config, 1, refused=("spot_g6",)) == {"spot_g5": 1}
    assert launched(config, 1, refused=("spot_g6", "spot_g5")) == {"on_demand_g6": 1}


def test_every_zone_is_tried(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = bootstrap_aws(prepare_config(load(AWS)))
    zones = boto3.client("ec2").describe_availability_zones()["AvailabilityZones"]
    for node_type in launcher["available_node_types"].values():
        assert len(node_type["node_config"]["SubnetIds"]) == len(zones) > 1


# --- what the machines may do ------------------------------------------------------------------


def allowed(role: str) -> list[str]:
    """Patterns of the actions that a role of the template may take."""
    properties = TEMPLATE["Resources"][role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for managed in properties["ManagedPolicyArns"]:
        documents.append(TEMPLATE["Resources"][managed["Ref"]]["Properties"]["PolicyDocument"])
    found: list[str] = []
    for statement in (one for document in documents for one in document["Statement"]):
        action = statement["Action"]
        found += action if isinstance(action, list) else [action]
    return found


def may(role: str, action: str) -> bool:
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in allowed(role))


def test_the_head_may_do_all_that_the_autoscaler_asks_of_ec2(account: None) -> None:
    launcher = bootstrap_aws(prepare_config(load(AWS)))
    provider = AWSNodeProvider(launcher["provider"], launcher["cluster_name"])
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_LAUNCH_CONFIG: "hash"}
    node_config = launcher["available_node_types"]["on_demand_g6"]["node_config"]
    with (
        noted(provider.ec2, "before-call.ec2") as notes,
        noted(provider.ec2_fail_fast, "before-call.ec2") as others,
    ):
        provider.create_node(node_config, tags, 1)
        (node,) = provider.non_terminated_nodes({})
        provider.set_node_tags(node, {"ray-node-status": "up-to-date"})
        provider.terminate_nodes([node])
    called = {f"ec2:{note['model'].name}" for note in notes + others}
    assert {"ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"} <= called
    (head,) = (role for name, role in profiles().items() if name.endswith("-head"))
    assert not [action for action in called if not may(head, action)]
    for action in ("iam:PassRole", "iam:CreateServiceLinkedRole", "ssm:GetParameters"):
        assert may(head, action)


def test_workers_may_use_the_bucket_and_nothing_else() -> None:
    (worker,) = (role for name, role in profiles().items() if name.endswith("-worker"))
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"):
        assert may(worker, action)
    assert all(pattern.startswith("s3:") for pattern in allowed(worker))


def test_the_head_may_pass_the_role_that_workers_have() -> None:
    (worker,) = (role for name, role in profiles().items() if name.endswith("-worker"))
    (head,) = (role for name, role in profiles().items() if name.endswith("-head"))
    (policy,) = TEMPLATE["Resources"][head]["Properties"]["Policies"]
    passed = [
        statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "iam:PassRole"
    ]
    assert passed == [{"Fn::GetAtt": [worker, "Arn"]}]
