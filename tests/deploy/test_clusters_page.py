"""docs/clusters.md shows commands that exist, for files that are there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from ray.autoscaler.tags import TAG_RAY_CLUSTER_NAME

from sweep import Study
from tests.deploy import test_kuberay
from tests.deploy.deployed import AWS, GCP, KUBERAY, ROOT, check_programs, load

PAGE = (ROOT / "docs" / "clusters.md").read_text("utf-8")


def yaml_blocks(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def lines(page: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def check(page: str) -> None:
    """Checks the commands of `ray` and `sweep`, and the files that any command names."""
    assert sum(check_programs(line) for line in lines(page)) > 12
    named = r"(?:(?<![\w/.])|(?<=~/task-order-sweep/))(?:deploy/[\w.-]+\w|cluster\.yaml)"
    for file in re.findall(named, page):
        assert (ROOT / file).is_file(), f"{file} is not there"
    for line in lines(page):
        for before, after in (("ray job submit", " -- sweep run"), ("docker build", "linux/amd64")):
            assert after in line or not line.startswith(before), f"{line} has no {after}"
        if line.startswith("sbatch"):
            *_, study, out = shlex.split(line)
            assert study == "study.yaml"
            assert out == "$OUT" or out.startswith("/")


def test_its_commands_exist() -> None:
    check(PAGE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ray dashboard cluster.yaml", "ray dashbord cluster.yaml"),
        ("ray down --yes", "ray down --sure"),
        ("-- sweep run study.yaml --address auto", "-- sweep run study.yaml --adress auto"),
        ("sweep status $OUT", "sweep status --out $OUT"),
        ("deploy/slurm.sh study.yaml", "deploy/slurm.sbatch study.yaml"),
        ("--working-dir . --runtime-env-json", "--working-dir . --runtime-env-yaml"),
        ("ray exec cluster.yaml 'ray status'", "ray exec cluster.yaml"),
        ("ray job logs --follow", "ray job log --follow"),
        ("sweep plan study.yaml --out", "sweep plan study.yaml --output"),
    ],
)
def test_an_error_is_found(right: str, wrong: str) -> None:
    assert right in PAGE
    with pytest.raises(AssertionError):
        check(PAGE.replace(right, wrong))


def test_what_it_says_of_machines_is_in_the_files() -> None:
    for file, types in (
        (AWS, ("m6i.2xlarge", "g6.xlarge", "g5.xlarge", "max_workers: 0")),
        (GCP, ("n2-standard-8", "g2-standard-4", "my-project", "ray-autoscaler-sa-v1")),
        (KUBERAY, ("task-order-sweep", "IMAGE", "OUT", "maxReplicas", "spot-gpu", "HF_TOKEN")),
    ):
        text = file.read_text("utf-8")
        for name in types:
            assert name in text, f"{file.name} has no {name}"
            assert name in PAGE, f"the page has no {name}"
    assert AWS.read_text("utf-8").count("idle_timeout_minutes: 10") == 1


def section(title: str, page: str = PAGE) -> str:
    return re.split(r"^## ", page.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


@pytest.mark.parametrize(("file", "title"), [(AWS, "AWS"), (GCP, "Google Cloud")])
def test_it_asks_for_what_the_file_allows_and_finds_what_it_starts(file: Path, title: str) -> None:
    config, text = load(file), section(title)
    types = config["available_node_types"]
    most = config["max_workers"]
    on_demand = [one for name, one in types.items() if name.startswith("on_demand")]
    (others,) = (one["max_workers"] for one in on_demand)
    cpus = {one["resources"]["CPU"] for one in types.values()} - {0}
    assert cpus == {4}
    if file == AWS:
        assert f"`All G and VT Spot Instance Requests` | {most * 4} |" in text
        assert f"`Running On-Demand G and VT instances` | {others * 4} |" in text
        assert f"Name=tag:{TAG_RAY_CLUSTER_NAME},Values={config['cluster_name']} " in text
        assert f"--region {config['provider']['region']} " in text
        assert len(types) - 1 == 3
        assert "has three types of workers" in text
    else:
        (disk,) = {
            one["node_config"]["disks"][0]["initializeParams"]["diskSizeGb"]
            for one in types.values()
        }
        assert f"| {(most + 1) * disk}, {disk} for each machine |" in text
        assert f"`GPUs (all regions)` | global | {most} |" in text
        assert f"`NVIDIA L4 GPUs` | us-central1 | {others}, " in text
        assert f"`In-use IP addresses` | us-central1 | {most + 1} |" in text
        assert f"labels.{TAG_RAY_CLUSTER_NAME}={config['cluster_name']}" in text


@pytest.mark.parametrize("title", ["AWS", "Google Cloud", "Kubernetes", "SLURM"])
def test_a_study_is_run_before_its_results_and_the_end(title: str) -> None:
    text = section(title)
    starts = "sbatch " if title == "SLURM" else "sweep run" if title != "Kubernetes" else "rayjob"
    assert starts in text
    if title != "SLURM":
        assert text.index(starts) < text.index("**Results") < text.index("**The end")
        assert text.index("**The end") < text.rindex("which deletes the results")


def test_its_first_study_is_one_that_takes_gpus_wherever_it_runs(tmp_path: Path) -> None:
    lanes, first = map(yaml.safe_load, yaml_blocks(PAGE)[:2])
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(first))
    study = Study.load(tmp_path / "study.yaml")
    assert (study.lanes.count, study.lanes.gpus_per_worker) == (1, 1)
    assert {"count", "gpus_per_worker"} <= lanes["lanes"].keys()
    assert study.lanes.cpus_per_worker * study.lanes.workers <= 3  # a pod of kuberay.yaml


def test_what_it_has_sed_replace_is_all_that_is_to_be_replaced() -> None:
    (line,) = [line for line in lines(PAGE) if line.startswith("sed ")]
    given = {"IMAGE": "there/image", "OUT": "gs://mine/first"}
    text = KUBERAY.read_text("utf-8")
    for name, value in given.items():
        assert f"s|{name}|${name}|" in line
        text = re.sub(name, value, text)
    job = yaml.safe_load(text)["spec"]
    groups = [job["rayClusterSpec"]["headGroupSpec"], *job["rayClusterSpec"]["workerGroupSpecs"]]
    images = [one["template"]["spec"]["containers"][0]["image"] for one in groups]
    assert images == ["there/image"] * 2
    assert job["entrypoint"].endswith(" --out gs://mine/first")


def test_a_volume_that_is_added_to_both_groups_is_accepted() -> None:
    _, _, added = map(yaml.safe_load, yaml_blocks(PAGE))
    job = load(KUBERAY)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        pod["containers"][0]["volumeMounts"] += added["volumeMounts"]
        pod["volumes"] += added["volumes"]
    test_kuberay.check(job)
    assert f"export OUT={added['volumeMounts'][0]['mountPath']}/" in PAGE
