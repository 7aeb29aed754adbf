"""The manifests are what the published schemas of Kubernetes and of Flink's operator allow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from chronon_beam.pipeline.runners import maven
from chronon_beam.pipeline.runners.worker_pool import PORT
from chronon_beam.pipeline.templates.manifests import SECRETS, Deployment, as_yaml, manifests
from chronon_beam.transforms.spark.cache_directory import cache_directory

LOCK = Path(__file__).with_name("flink_operator.lock")
DEFINITION = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
KUBERNETES = "1.32"

DEPLOYMENT = Deployment(
    name="ice-cream",
    image="registry/ice-cream:1",
    arguments=["--source=kafka://broker:9092/ice_cream", "--store=bigtable://project/instance"],
    main_class="chrononbeam.Launch",
    parallelism=4,
    storage="gs://bucket/ice_cream",
    secret="ice-cream-secrets",
    namespace="features",
    environment={"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
)


def strict(schema: Any) -> Any:
    """A schema that allows no field but those that it names.

    Kubernetes drops a field that the definition of a resource does not name, without a word.
    """
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not free:
        found["additionalProperties"] = False
    return found


@pytest.fixture(scope="module")
def flink_deployments() -> Draft202012Validator:
    """Says what the operator's definition of a FlinkDeployment has against one."""
    (jar,) = maven.fetch(maven.read_lock(LOCK), cache_directory() / "jars")
    # The quick loader: the definition has 15,000 lines.
    definition = yaml.load(ZipFile(jar).read(DEFINITION), yaml.CSafeLoader)
    (version,) = definition["spec"]["versions"]
    assert version["name"] == "v1beta1"
    schema = version["schema"]["openAPIV3Schema"]
    # Every resource has these, whatever its definition says.
    every = {"apiVersion": {"type": "string"}, "kind": {"const": "FlinkDeployment"}, "metadata": {}}
    schema["properties"] |= every
    return Draft202012Validator(strict(schema))


def read(deployment: Deployment) -> dict[str, Any]:
    """The manifests as kubectl reads them."""
    return {name: yaml.safe_load(as_yaml(one)) for name, one in manifests(deployment).items()}


@pytest.fixture
def found() -> dict[str, Any]:
    return read(DEPLOYMENT)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside another, the outermost first."""
    yield path
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in inner:
        yield from paths(each, (*path, key))


def test_flink_deployment_is_what_the_operators_definition_allows(
    flink_deployments: Draft202012Validator, found: dict[str, Any]
) -> None:
    deployment = found["flink_deployment.yaml"]
    assert [error.message for error in flink_deployments.iter_errors(deployment)] == []


def test_definition_refuses_a_wrong_name_at_every_depth(
    flink_deployments: Draft202012Validator, found: dict[str, Any]
) -> None:
    deployment = found["flink_deployment.yaml"]["spec"]
    free = ("flinkConfiguration", "labels", "requests", "limits")
    named = [path for path in paths(deployment) if path and isinstance(path[-1], str)]
    checked = [path for path in named if not set(path[:-1]) & set(free)]
    assert len(checked) > 100
    for *way, name in checked:
        around = deployment
        for key in way:
            around = around[key]
        around[f"{name}_"] = around[name]
        wrong = {"apiVersion": "", "kind": "FlinkDeployment", "spec": deployment}
        assert not flink_deployments.is_valid(wrong), (*way, name)
        del around[f"{name}_"]


@pytest.mark.parametrize(
    "name", ["config_map.yaml", "metrics_service.yaml", "worker_metrics_service.yaml"]
)
def test_other_resources_are_what_kubernetes_defines(name: str, found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found[name], KUBERNETES, strict=True)


def test_pods_are_what_kubernetes_defines(found: dict[str, Any]) -> None:
    """The operator lays both templates over another: the result must name every container."""
    spec = found["flink_deployment.yaml"]["spec"]
    for role in ("jobManager", "taskManager"):
        pod = spec[role]["podTemplate"]["spec"]
        for container in pod["containers"]:
            container.setdefault("image", spec["image"])
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
        kubernetes_validate.validate(whole, KUBERNETES, strict=True)


def test_monitor_finds_both_services(found: dict[str, Any]) -> None:
    """Prometheus names its job after them, as the alert rules in docs/grafana expect."""
    monitor = found["service_monitor.yaml"]["spec"]
    services = [found["metrics_service.yaml"], found["worker_metrics_service.yaml"]]
    labels = [service["metadata"]["labels"] for service in services]
    assert all(monitor["selector"]["matchLabels"].items() <= each.items() for each in labels)
    ports = [port["name"] for service in services for port in service["spec"]["ports"]]
    assert [each["port"] for each in monitor["endpoints"]] == ports
    assert {each[monitor["jobLabel"]] for each in labels} == {"chronon-beam"}


def test_service_of_the_workers_finds_the_port_that_they_are_given(found: dict[str, Any]) -> None:
    (port,) = found["worker_metrics_service.yaml"]["spec"]["ports"]
    flink = found["flink_deployment.yaml"]
    selected = {"app": flink["metadata"]["name"], "component": "taskmanager"}
    assert found["worker_metrics_service.yaml"]["spec"]["selector"] == selected
    (workers,) = flink["spec"]["taskManager"]["podTemplate"]["spec"]["initContainers"]
    assert [each["containerPort"] for each in workers["ports"]] == [port["targetPort"]]
    assert port["port"] == port["targetPort"] == DEPLOYMENT.worker_metrics


def test_service_of_flink_finds_its_pods(found: dict[str, Any]) -> None:
    service = found["metrics_service.yaml"]
    (port,) = service["spec"]["ports"]
    flink = found["flink_deployment.yaml"]
    assert service["spec"]["selector"] == {"app": flink["metadata"]["name"]}
    (main,) = flink["spec"]["podTemplate"]["spec"]["containers"]
    assert port["targetPort"] in [each["containerPort"] for each in main["ports"]]
    assert flink["spec"]["flinkConfiguration"]["metrics.reporter.prom.port"] == str(port["port"])


def test_workers_are_beside_the_task_manager_and_have_their_settings(found: dict[str, Any]) -> None:
    spec = found["flink_deployment.yaml"]["spec"]
    (workers,) = spec["taskManager"]["podTemplate"]["spec"]["initContainers"]
    assert workers["restartPolicy"] == "Always"
    assert workers["image"] == DEPLOYMENT.image
    assert f"--port={PORT}" in workers["command"]
    (variables,) = workers["envFrom"]
    assert variables["configMapRef"]["name"] == found["config_map.yaml"]["metadata"]["name"]
    references = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in workers["env"]}
    assert set(references) == set(SECRETS)
    assert {each["name"] for each in references.values()} == {DEPLOYMENT.secret}


def test_jar_is_where_the_job_looks_for_it(found: dict[str, Any]) -> None:
    spec = found["flink_deployment.yaml"]["spec"]
    pod = spec["jobManager"]["podTemplate"]["spec"]
    (copy,), (main,) = pod["initContainers"], pod["containers"]
    assert spec["job"]["jarURI"] == f"local://{copy['command'][-1]}"
    assert copy["volumeMounts"] == main["volumeMounts"]
    assert copy["command"][-1].startswith(copy["volumeMounts"][0]["mountPath"] + "/")


def test_kustomization_names_all_files(found: dict[str, Any]) -> None:
    kustomization = found["kustomization.yaml"]
    assert {*kustomization["resources"], "kustomization.yaml"} == set(found)
    assert kustomization["namespace"] == "features"


@pytest.mark.parametrize(
    ("storage", "plugin"), [("s3://b/j", "s3-fs"), ("gs://b/j", "gs-fs"), ("file:///data", None)]
)
def test_file_system_of_the_storage_is_loaded(storage: str, plugin: str | None) -> None:
    one = Deployment(**{**vars(DEPLOYMENT), "storage": storage, "namespace": None})
    (main,) = read(one)["flink_deployment.yaml"]["spec"]["podTemplate"]["spec"]["containers"]
    loaded = [each["value"] for each in main.get("env", ())]
    assert bool(loaded) == (plugin is not None)
    assert all(plugin in each for each in loaded if plugin)
