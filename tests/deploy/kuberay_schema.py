"""The fields of a RayJob that deploy/kuberay.yaml may use, as a JSON schema that is strict.

From the Go types of KubeRay, `ray-operator/apis/ray/v1/rayjob_types.go` and `raycluster_types.go`
of github.com/ray-project/kuberay, and its `docs/reference/api.md` for `autoscalerOptions.version`
(1.4). Templates of pods are Kubernetes' own; the tests hand them to `kubernetes_validate`.
"""

from typing import Any

TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
POD = {"type": "object", "required": ["spec"]}


def fields(known: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": known,
        "required": list(required),
        "additionalProperties": False,
    }


HEAD = fields(
    {
        "rayStartParams": TEXTS,
        "template": POD,
        "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        "enableIngress": FLAG,
        "headService": {"type": "object"},
    },
    "rayStartParams",
    "template",
)
WORKERS = fields(
    {
        "groupName": TEXT,
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "numOfHosts": COUNT,
        "idleTimeoutSeconds": COUNT,
        "suspend": FLAG,
        "rayStartParams": TEXTS,
        "scaleStrategy": {"type": "object"},
        "template": POD,
    },
    "groupName",
    "minReplicas",
    "maxReplicas",
    "rayStartParams",
    "template",
)
AUTOSCALER = fields(
    {
        "version": {"enum": ["v1", "v2"]},
        "idleTimeoutSeconds": COUNT,
        "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
        "resources": {"type": "object"},
        "image": TEXT,
        "imagePullPolicy": TEXT,
        "securityContext": {"type": "object"},
        "env": {"type": "array"},
        "envFrom": {"type": "array"},
        "volumeMounts": {"type": "array"},
    }
)
CLUSTER = fields(
    {
        "rayVersion": TEXT,
        "enableInTreeAutoscaling": FLAG,
        "autoscalerOptions": AUTOSCALER,
        "gcsFaultToleranceOptions": {"type": "object"},
        "headServiceAnnotations": TEXTS,
        "headGroupSpec": HEAD,
        "workerGroupSpecs": {"type": "array", "items": WORKERS},
        "managedBy": TEXT,
        "suspend": FLAG,
    },
    "headGroupSpec",
)
JOB = fields(
    {
        "entrypoint": TEXT,
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        "submitterPodTemplate": POD,
        "submitterConfig": fields({"backoffLimit": COUNT}),
        "backoffLimit": COUNT,
        "activeDeadlineSeconds": {"type": "integer", "minimum": 1},
        "shutdownAfterJobFinishes": FLAG,
        "ttlSecondsAfterFinished": COUNT,
        "deletionStrategy": {"type": "object"},
        "runtimeEnvYAML": TEXT,
        "jobId": TEXT,
        "metadata": TEXTS,
        "clusterSelector": TEXTS,
        "entrypointNumCpus": {"type": "number"},
        "entrypointNumGpus": {"type": "number"},
        "entrypointResources": TEXT,
        "managedBy": TEXT,
        "suspend": FLAG,
        "rayClusterSpec": CLUSTER,
    }
)
RAY_JOB = fields(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": JOB,
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
