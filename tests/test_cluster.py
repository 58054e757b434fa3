"""cluster.yaml is what Ray's cluster launcher takes."""

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"


def test_ray_accepts_the_cluster_file() -> None:
    validate_config(prepare_config(yaml.safe_load(CLUSTER.read_text())))


def test_ray_would_refuse_a_misspelt_key() -> None:
    config = yaml.safe_load(CLUSTER.read_text())
    config["max_worker"] = config.pop("max_workers")
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(config))


def test_only_workers_are_spot_machines() -> None:
    types = yaml.safe_load(CLUSTER.read_text())["available_node_types"]
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    market = types["gpu_worker"]["node_config"]["InstanceMarketOptions"]
    assert market == {"MarketType": "spot"}
