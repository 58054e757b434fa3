"""Which machines Ray's autoscaler would start, by its own scheduler."""

from typing import Any

from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil


def launched(config: dict[str, Any], lanes: int, refused: tuple[str, ...] = ()) -> dict[str, int]:
    """How many machines of each type start for lanes of a CPU and a GPU.

    Args:
        config: A cluster file.
        lanes: Number of lanes that wait.
        refused: Types of which the cloud has just given none.
    """
    read = AutoscalingConfig(config, skip_content_hash=True)
    lane = ResourceRequestUtil.make({"CPU": 1, "GPU": 1})
    asked = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=read.get_node_type_configs(),
        max_num_nodes=read.get_max_num_nodes(),
        resource_requests=ResourceRequestUtil.group_by_count([lane] * lanes),
        recoverable_resource_availabilities=dict.fromkeys(refused, 0.0),
    )
    answer = ResourceDemandScheduler(None).schedule(asked)
    return {request.instance_type: request.count for request in answer.to_launch}
