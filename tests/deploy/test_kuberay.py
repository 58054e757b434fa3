"""deploy/kuberay.yaml: KubeRay's fields, Kubernetes' pods, what Ray's autoscaler makes of it."""

import re
import tomllib
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.deploy.deployed import DEPLOY, KUBERAY, ROOT, check_programs, load, with_error
from tests.deploy.kuberay_schema import RAY_JOB
from tests.deploy.scheduling import launched

KUBERNETES = "1.31"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def check(job: dict[str, Any]) -> dict[str, Any]:
    """Returns the configuration that Ray's autoscaler reads of a RayJob.

    Raises what KubeRay, Kubernetes or Ray would have against it.
    """
    jsonschema.validate(job, RAY_JOB)
    spec = job["spec"]
    assert check_programs(spec["entrypoint"]) == 1
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}}
        kubernetes_validate.validate(pod | group["template"], KUBERNETES, strict=True)
        check_pod(group["template"]["spec"])
        options = " ".join(f"--{key}={value}" for key, value in group["rayStartParams"].items())
        check_programs(f"ray start {options}")
    read = prepare_config(autoscaling_of(cluster))
    validate_config(read)
    assert read["available_node_types"]["headgroup"]["resources"]["CPU"] == 0, "lanes on the head"
    return read


def autoscaling_of(cluster: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "cluster", "namespace": "default"}
    read = _derive_autoscaling_config_from_ray_cr({"metadata": metadata, "spec": cluster})
    assert isinstance(read, dict)
    return read


def check_pod(pod: dict[str, Any]) -> None:
    """Checks what no schema knows: volumes that are mounted, commands, room to end."""
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= volumes, f"no volumes {mounted - volumes}"
        assert container["resources"]["requests"] == container["resources"]["limits"]
        if "lifecycle" in container:
            shell, option, line = container["lifecycle"]["preStop"]["exec"]["command"]
            assert (shell, option) == ("sh", "-c")
            assert check_programs(line) == 1
            (waits,) = re.findall(r"sleep (\d+)", line)
            (deadline,) = re.findall(r"--deadline-remaining-seconds (\d+)", line)
            assert int(deadline) <= int(waits) < pod["terminationGracePeriodSeconds"], "no room"


def test_the_job_is_accepted_and_grows() -> None:
    read = check(load(KUBERAY))
    assert read["idle_timeout_minutes"] == 10
    assert launched(read, 5) == {"spot-gpu": 5}


def test_a_study_that_fails_is_not_started_again_and_a_lost_head_is() -> None:
    """Each retry of the job is a new cluster; the submitter asks first whether the job is there."""
    spec = load(KUBERAY)["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["submissionMode"] == "K8sJobMode"
    assert spec["submitterConfig"]["backoffLimit"] >= 1


HEAD = "spec/rayClusterSpec/headGroupSpec"
WORKER = "spec/rayClusterSpec/workerGroupSpecs/0"
CONTAINER = f"{WORKER}/template/spec/containers/0"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("spec/backoffLimit>backOffLimit", None, "backOffLimit"),
        ("spec/submissionMode", "JobMode", "JobMode"),
        ("spec/entrypoint", "sweep run study.yaml --adress auto", "--adress"),
        ("spec/rayClusterSpec/autoscalerOptions/version", "2", "2"),
        (f"{HEAD}/rayStartParams/num-cpus", 0, "not of type 'string'"),
        (f"{HEAD}/rayStartParams/num-cpus>num-cpu", None, "num-cpu"),
        (f"{HEAD}/rayStartParams/num-cpus", None, "lanes on the head"),
        (f"{HEAD}/template/spec/containers>container", None, "container"),
        (f"{WORKER}/maxReplicas", None, "maxReplicas"),
        (f"{WORKER}/template/spec/tolerations/0/operator>operators", None, "operators"),
        (f"{WORKER}/template/spec/volumes/0/name", "studies", "no volumes"),
        (f"{WORKER}/template/spec/terminationGracePeriodSeconds", 10, "no room"),
        (f"{CONTAINER}/volumeMounts/0/mountPath", 1, "mountPath"),
        (f"{CONTAINER}/env/1/valueFrom/secretKeyRef/key>name_of", None, "name_of"),
        (f"{CONTAINER}/lifecycle/preStop>prestop", None, "prestop"),
        (f"{CONTAINER}/lifecycle/preStop/exec/command/2", "ray drain; sleep 9", "drain"),
    ],
)
def test_an_error_is_found(place: str, value: Any, said: str) -> None:
    with pytest.raises(Exception, match=said):
        check(with_error(load(KUBERAY), place, value))


def test_lanes_get_no_machine_without_a_gpu() -> None:
    without = with_error(load(KUBERAY), f"{CONTAINER}/resources", {"limits": {"cpu": "3"}})
    assert launched(autoscaling_of(without["spec"]["rayClusterSpec"]), 1) == {}


# --- the image ---------------------------------------------------------------------------------


def check_image(text: str) -> None:
    """Checks that the image has the Ray of the job, a Python that will do, and what is copied."""
    (base,) = re.findall(r"^FROM rayproject/ray:(\S+)$", text, re.MULTILINE)
    version, python, cuda = base.split("-")
    assert version == load(KUBERAY)["spec"]["rayClusterSpec"]["rayVersion"], "another Ray"
    assert re.findall(r'"ray\[[\w,]+\]==([\w.]+)"', text) == [version], "another Ray"
    assert version == ray.__version__, "not the Ray of these tests"
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    at_least = re.findall(r"\d+", needed["requires-python"])
    assert python == "py312"
    assert [int(part) for part in at_least] <= [3, 12]
    assert re.fullmatch(r"cu1\d\d", cuda), "an image without CUDA"
    copied = re.findall(r"^COPY --chown=ray:users (.+) (\S+)$", text, re.MULTILINE)
    sources = {source for group, _ in copied for source in group.split()}
    assert sources >= {"pyproject.toml", "README.md", "LICENSE", "sweep", "methods", "analysis"}
    assert all((ROOT / source).exists() for source in sources), "a file is not there"


def test_the_image_fits_the_job() -> None:
    check_image(DOCKERFILE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("2.60.0-py312-cu128", "2.59.0-py312-cu128"),
        ("2.60.0-py312-cu128", "2.60.0-py310-cu128"),
        ("2.60.0-py312-cu128", "2.60.0-py312-cpu"),
        ("==2.60.0", ">=2.60.0"),
        ("analysis analysis", "analyses analyses"),
        ("COPY --chown=ray:users methods methods\n", ""),
    ],
)
def test_an_error_in_the_image_is_found(right: str, wrong: str) -> None:
    assert right in DOCKERFILE
    with pytest.raises((AssertionError, ValueError)):
        check_image(DOCKERFILE.replace(right, wrong))
