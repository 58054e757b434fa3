"""docs/clusters.md shows commands that exist, for files that are there."""

import re
import shlex

import pytest

from tests.deploy.deployed import AWS, GCP, KUBERAY, ROOT, check_programs

PAGE = (ROOT / "docs" / "clusters.md").read_text("utf-8")


def lines(page: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def check(page: str) -> None:
    """Checks the commands of `ray` and `sweep`, and the files that any command names."""
    assert sum(check_programs(line) for line in lines(page)) > 12
    for file in re.findall(r"(?<![\w/.])(?:deploy/[\w.-]+\w|cluster\.yaml)", page):
        assert (ROOT / file).is_file(), f"{file} is not there"
    for line in lines(page):
        if line.startswith("sbatch"):
            *_, study, out = shlex.split(line)
            assert study == "study.yaml"
            assert out.startswith("/")


def test_its_commands_exist() -> None:
    check(PAGE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ray dashboard cluster.yaml", "ray dashbord cluster.yaml"),
        ("ray down --yes", "ray down --sure"),
        ("-- sweep run study.yaml --address auto", "-- sweep run study.yaml --adress auto"),
        ("sweep status s3://BUCKET/study", "sweep status --out s3://BUCKET/study"),
        ("deploy/slurm.sh study.yaml", "deploy/slurm.sbatch study.yaml"),
        ("--working-dir . --runtime-env-json", "--working-dir . --runtime-env-yaml"),
    ],
)
def test_an_error_is_found(right: str, wrong: str) -> None:
    assert right in PAGE
    with pytest.raises(AssertionError):
        check(PAGE.replace(right, wrong))


def test_what_it_says_of_machines_is_in_the_files() -> None:
    for file, types in (
        (AWS, ("m6i.2xlarge", "g6.xlarge", "g5.xlarge")),
        (GCP, ("n2-standard-8", "g2-standard-4", "my-project", "ray-autoscaler-sa-v1")),
        (KUBERAY, ("task-order-sweep", "REGISTRY", "BUCKET", "backoffLimit: 3")),
    ):
        text = file.read_text("utf-8")
        for name in types:
            assert name in text, f"{file.name} has no {name}"
            assert name.startswith("backoffLimit") or name in PAGE, f"the page has no {name}"
    assert AWS.read_text("utf-8").count("idle_timeout_minutes: 10") == 1
