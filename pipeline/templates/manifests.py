"""The Kubernetes manifests of a job that the Flink Kubernetes operator runs.

    FlinkDeployment ── JobManager's pod ── init container: hands over the jar of the job's image
                    └─ TaskManagers' pods ── side-car: the SDK workers, from the same image
    ConfigMap          variables of the workers that are not secret
    Services           headless; name the ports of metrics: of Flink's pods, and of the workers in
                       the TaskManagers' pods
    ServiceMonitor     has Prometheus read both ports
    Kustomization      all of them, for `kubectl apply -k`

Each function gives one manifest as plain values, which a YAML library writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from chronon_beam.pipeline.runners.flink import RESTARTS
from chronon_beam.pipeline.runners.flink_jar import ASSEMBLED_VERSION
from chronon_beam.pipeline.runners.worker_pool import PORT

Manifest = dict[str, object]

JAR = "/job/job.jar"
"""Where the job's image has the jar."""

USER_ID = 9999
"""The user of Flink's official image; the job's image has the same."""

SECRETS = (
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD",
    "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO",
    "SCHEMA_REGISTRY_BEARER_AUTH_TOKEN",
)
"""The variables of workers that may come from a Secret, under keys of the same names."""

PATCH = "3"
"""Of Flink, for its official image and the plugins in it."""

FLINK = f"{ASSEMBLED_VERSION}.{PATCH}"
FLINK_IMAGE = f"flink:{FLINK}-scala_2.12-java17"
_PLUGINS = {
    "s3": f"flink-s3-fs-presto-{FLINK}.jar",
    "s3p": f"flink-s3-fs-presto-{FLINK}.jar",
    "s3a": f"flink-s3-fs-hadoop-{FLINK}.jar",
    "gs": f"flink-gs-fs-hadoop-{FLINK}.jar",
    "abfs": f"flink-azure-fs-hadoop-{FLINK}.jar",
    "abfss": f"flink-azure-fs-hadoop-{FLINK}.jar",
    "wasbs": f"flink-azure-fs-hadoop-{FLINK}.jar",
}
"""The file systems that Flink's image has but does not load by itself."""

_REST, _RPC, _METRICS = 8081, 6122, 9249
WORKER_METRICS = 9095
"""Where the workers of a pod serve what the job measures, unless the user says another port."""

TAKEN = (_REST, _RPC, _METRICS, PORT)
"""Ports of a pod that are in use."""

_JOB_LABEL = "app.kubernetes.io/name"
"""Its value is the name of Prometheus' job: the alert rules of docs/grafana ask for that job."""

_REPORTER = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"


@dataclass(frozen=True)
class Deployment:
    """A job on Kubernetes.

    Attributes:
        name: the name of the FlinkDeployment; all other names begin with it.
        image: has the jar, and is the image of the workers.
        arguments: the arguments of the launch, as the jar takes them.
        main_class: the main class of the jar.
        parallelism: task slots that the job uses.
        storage: a URI; checkpoints, savepoints and what a new JobManager needs are below it.
        namespace: None leaves it to kubectl.
        environment: variables of the workers that are no secrets.
        secret: the name of the Secret that may have `SECRETS`.
        slots: the task slots of each TaskManager.
        worker_metrics: the port at which workers serve metrics; `arguments` has it, too.
    """

    name: str
    image: str
    arguments: Sequence[str]
    main_class: str
    parallelism: int
    storage: str
    secret: str
    namespace: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    slots: int = 2
    worker_metrics: int = WORKER_METRICS

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all objects of the job."""
        return {
            _JOB_LABEL: "chronon-beam",
            "app.kubernetes.io/instance": self.name,
        }

    @property
    def config_map(self) -> str:
        """The name of the ConfigMap."""
        return f"{self.name}-workers"


def manifests(deployment: Deployment) -> dict[str, Manifest]:
    """All manifests, by the names of their files."""
    found = {
        "flink_deployment.yaml": flink_deployment(deployment),
        "config_map.yaml": config_map(deployment),
        "metrics_service.yaml": metrics_service(deployment),
        "worker_metrics_service.yaml": worker_metrics_service(deployment),
        "service_monitor.yaml": service_monitor(deployment),
    }
    return {**found, "kustomization.yaml": kustomization(deployment, list(found))}


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice two times: people read these files."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def as_yaml(manifest: Manifest) -> str:
    """The text of a file."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=100)


def flink_deployment(deployment: Deployment) -> Manifest:
    """What the operator runs: the job's jar on a cluster of its own, with workers beside it."""
    spec = {
        "image": FLINK_IMAGE,
        "flinkVersion": f"v{ASSEMBLED_VERSION.replace('.', '_')}",
        "mode": "native",
        "serviceAccount": "flink",
        "flinkConfiguration": _configuration(deployment),
        "podTemplate": {"spec": {"containers": [_main_container(deployment.storage)]}},
        "jobManager": {"resource": _resource(), "podTemplate": _job_manager(deployment)},
        "taskManager": {"resource": _resource(), "podTemplate": _task_manager(deployment)},
        "job": {
            "jarURI": "local:///opt/flink/usrlib/job.jar",
            "entryClass": deployment.main_class,
            "args": list(deployment.arguments),
            "parallelism": deployment.parallelism,
            "upgradeMode": "savepoint",
            "state": "running",
        },
    }
    return _manifest("flink.apache.org/v1beta1", "FlinkDeployment", deployment, "", spec=spec)


def config_map(deployment: Deployment) -> Manifest:
    """Variables of the workers; a change of it holds for pods that start after it."""
    data = dict(deployment.environment)
    return _manifest("v1", "ConfigMap", deployment, "-workers", data=data)


def metrics_service(deployment: Deployment) -> Manifest:
    """A name for the metrics ports of Flink in the pods, which the operator labels `app`."""
    spec = _headless("metrics", _METRICS, {"app": deployment.name})
    return _manifest("v1", "Service", deployment, "-metrics", spec=spec)


def worker_metrics_service(deployment: Deployment) -> Manifest:
    """A name for the metrics ports of the workers: Flink labels the pods by what they are."""
    pods = {"app": deployment.name, "component": "taskmanager"}
    spec = _headless("workers", deployment.worker_metrics, pods)
    return _manifest("v1", "Service", deployment, "-worker-metrics", spec=spec)


def _headless(name: str, port: int, pods: Mapping[str, str]) -> Manifest:
    ports = [{"name": name, "port": port, "targetPort": port}]
    return {"clusterIP": "None", "selector": dict(pods), "ports": ports}


def service_monitor(deployment: Deployment) -> Manifest:
    """Has the Prometheus operator read what the two Services name."""
    ports = ("metrics", "workers")
    spec = {
        "selector": {"matchLabels": deployment.labels},
        "jobLabel": _JOB_LABEL,
        "endpoints": [{"port": port, "path": "/metrics", "interval": "15s"} for port in ports],
    }
    return _manifest("monitoring.coreos.com/v1", "ServiceMonitor", deployment, "", spec=spec)


def kustomization(deployment: Deployment, files: Sequence[str]) -> Manifest:
    """All files, for `kubectl apply -k`; the place where others are patched in."""
    named = {"namespace": deployment.namespace} if deployment.namespace else {}
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return {**kind, **named, "resources": list(files)}


def _manifest(version: str, kind: str, of: Deployment, suffix: str, **rest: object) -> Manifest:
    metadata: Manifest = {"name": f"{of.name}{suffix}", "labels": of.labels}
    if of.namespace:
        metadata["namespace"] = of.namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _configuration(deployment: Deployment) -> dict[str, str]:
    below = deployment.storage.rstrip("/")
    return {
        "taskmanager.numberOfTaskSlots": str(deployment.slots),
        "taskmanager.rpc.port": str(_RPC),
        "state.checkpoints.dir": f"{below}/checkpoints",
        "state.savepoints.dir": f"{below}/savepoints",
        "high-availability.type": "kubernetes",
        "high-availability.storageDir": f"{below}/ha",
        **RESTARTS,
        "metrics.reporters": "prom",
        "metrics.reporter.prom.factory.class": _REPORTER,
        "metrics.reporter.prom.port": str(_METRICS),
    }


def _resource() -> Manifest:
    """Of one of Flink's containers; the workers' are those of the side-car."""
    return {"cpu": 1, "memory": "2048m"}


def _main_container(storage: str) -> Manifest:
    """Of Flink, in pods of both kinds; the operator knows it by this name."""
    container: Manifest = {
        "name": "flink-main-container",
        "ports": [{"name": "metrics", "containerPort": _METRICS}],
    }
    if plugin := _PLUGINS.get(storage.partition(":")[0]):
        container["env"] = [{"name": "ENABLE_BUILT_IN_PLUGINS", "value": plugin}]
    return container


def _job_manager(deployment: Deployment) -> Manifest:
    """The image's jar is copied to where Flink looks for jars of users."""
    folder = {"name": "job", "mountPath": "/opt/flink/usrlib"}
    overview = {"httpGet": {"path": "/overview", "port": _REST}}
    main = {
        "name": "flink-main-container",
        "volumeMounts": [folder],
        # The graph is translated before the server answers.
        "startupProbe": {**overview, "periodSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**overview, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**overview, "periodSeconds": 5},
    }
    copy = {
        "name": "jar",
        "image": deployment.image,
        "command": ["cp", JAR, "/opt/flink/usrlib/job.jar"],
        "volumeMounts": [folder],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": _unprivileged(),
    }
    volumes = [{"name": "job", "emptyDir": {}}]
    return {"spec": {"initContainers": [copy], "containers": [main], "volumes": volumes}}


def _task_manager(deployment: Deployment) -> Manifest:
    """An init container that restarts always is a side-car: it is ready before Flink starts."""
    main = {
        "name": "flink-main-container",
        "livenessProbe": {"tcpSocket": {"port": _RPC}, "periodSeconds": 10, "failureThreshold": 6},
    }
    return {"spec": {"initContainers": [_workers(deployment)], "containers": [main]}}


def _workers(deployment: Deployment) -> Manifest:
    # The pool listens on the loopback address, which only a command in the container reaches.
    answers = {"exec": {"command": ["bash", "-c", f"exec 3<>/dev/tcp/localhost/{PORT}"]}}
    module = "chronon_beam.pipeline.runners.worker_pool"
    return {
        "name": "workers",
        "image": deployment.image,
        "restartPolicy": "Always",
        "command": ["python", "-m", module, f"--port={PORT}"],
        "ports": [{"name": "workers", "containerPort": deployment.worker_metrics}],
        "envFrom": [{"configMapRef": {"name": deployment.config_map}}],
        "env": [_from_secret(name, deployment.secret) for name in SECRETS],
        "startupProbe": {**answers, "periodSeconds": 1, "failureThreshold": 120},
        "livenessProbe": {**answers, "periodSeconds": 10, "failureThreshold": 3},
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": _unprivileged(),
    }


def _from_secret(name: str, secret: str) -> Manifest:
    reference = {"name": secret, "key": name, "optional": True}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _unprivileged() -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
