"""Makes the folder of `chronon-beam template kubernetes` from the flags of a job."""

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from chronon_beam.api.group_by import GroupBy
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.prepare import source_uri, streamed_group_by
from chronon_beam.pipeline.runners.launch_jar import MAIN_CLASS
from chronon_beam.pipeline.runners.worker_pool import PORT
from chronon_beam.pipeline.templates.executable_jar import write_jar
from chronon_beam.pipeline.templates.image import write_image
from chronon_beam.pipeline.templates.launch_flags import LAUNCH
from chronon_beam.pipeline.templates.manifests import (
    JAR,
    TAKEN,
    USER_ID,
    WORKER_METRICS,
    Deployment,
    as_yaml,
    manifests,
)
from chronon_beam.pipeline.templates.parameters import FLINK, JOB, Parameter

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,43}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|USER_INFO|CREDENTIAL|_KEY$|JAAS", re.IGNORECASE)
_STORAGE = re.compile(r"[a-z][a-z0-9+.-]*:/.+")

_DOCKERFILE = f"""\
COPY job.jar {JAR}
RUN useradd --uid {USER_ID} --create-home chronon
WORKDIR /home/chronon
USER {USER_ID}
ENTRYPOINT ["chronon-beam"]
CMD ["--help"]
"""


def write_folder(arguments: Namespace, options: JobOptions) -> None:
    """Write the image's files and the manifests; nothing is written if a value is wrong.

    Raises:
        GroupByError, QueryError, UsageError, ValueError: as `write_jar`, or a flag is wrong.
        NoJobServerJar, FetchError: as `write_jar`.
    """
    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output={folder}: a folder is expected, and this is a file")
    deployment = deployment_of(arguments, options)
    folder.mkdir(parents=True, exist_ok=True)
    write_jar(options, str(folder / "job.jar"), None)
    write_image(folder, _DOCKERFILE)
    for name, manifest in manifests(deployment).items():
        (folder / name).write_text(as_yaml(manifest), encoding="utf-8")


def deployment_of(arguments: Namespace, options: JobOptions) -> Deployment:
    """What the manifests say, from the flags.

    Raises:
        UsageError: the value of a flag is wrong; GroupByError, ValueError: as `source_uri`.
    """
    group_by = streamed_group_by(options)
    if not _STORAGE.fullmatch(arguments.storage):
        raise UsageError(
            f"--storage={arguments.storage}: give a URI that all pods reach, for example "
            "s3://bucket/job"
        )
    name = arguments.name or _name_of(group_by)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name={name}: give at most 45 small letters, digits and hyphens, a letter first"
        )
    return Deployment(
        name=name,
        image=arguments.image,
        arguments=_arguments(arguments, options, group_by),
        main_class=MAIN_CLASS,
        parallelism=_parallelism(arguments),
        storage=arguments.storage,
        secret=arguments.secret or f"{name}-secrets",
        namespace=arguments.namespace,
        environment=_environment(arguments.env),
        worker_metrics=_metrics_port(arguments),
    )


def _name_of(group_by: GroupBy) -> str:
    """The GroupBy's name as Kubernetes takes names: the end of one that is too long.

    >>> from types import SimpleNamespace
    >>> _name_of(SimpleNamespace(name="team.Ice_Cream.v1__2"))
    'team-ice-cream-v1-2'
    """
    words = re.sub(r"[^a-z0-9]+", "-", group_by.name.lower())
    return re.sub(r"^[^a-z]+", "", words[-45:]).rstrip("-")


def _arguments(arguments: Namespace, options: JobOptions, group_by: GroupBy) -> list[str]:
    """The arguments of the launch, checked as the jar checks them."""
    values = {
        "source": source_uri(group_by, options.source, options.kafka_bootstrap),
        "store": options.store,
        "dead_letters": options.dead_letters,
        "environment_type": "EXTERNAL",
        "environment_config": f"localhost:{PORT}",
        **{each.name: getattr(arguments, each.name) for each in LAUNCH},
        "metrics_port": str(_metrics_port(arguments)),
        "metrics_host": "0.0.0.0",  # Prometheus is in another pod
    }
    values["parallelism"] = None  # it is a field of the FlinkDeployment, where it can be changed
    return list(_checked(values))


def _checked(values: Mapping[str, str | bool | None]) -> Iterator[str]:
    for parameter in (*JOB, *FLINK):
        value = values.get(parameter.name)
        if value is True:
            yield f"--{parameter.name}"
        elif isinstance(value, str):
            _check(parameter, value)
            yield f"--{parameter.name}={value}"


def _check(parameter: Parameter, value: str) -> None:
    if not re.fullmatch(parameter.pattern, value):
        raise UsageError(f"--{parameter.name}={value}: give {parameter.expected}")


def _parallelism(arguments: Namespace) -> int:
    (parameter,) = (each for each in FLINK if each.name == "parallelism")
    value = arguments.parallelism or parameter.default
    _check(parameter, value)
    if value == "1":
        raise UsageError("--parallelism=1: give 2 or more: Flink restores a job of 1 at 1 only")
    return int(value)


def _metrics_port(arguments: Namespace) -> int:
    """Where Prometheus finds the workers of a pod: a port that is free there."""
    (parameter,) = (each for each in FLINK if each.name == "metrics_port")
    value = arguments.metrics_port or str(WORKER_METRICS)
    _check(parameter, value)
    if int(value) in (0, *TAKEN):
        taken = ", ".join(map(str, TAKEN))
        raise UsageError(f"--metrics_port={value}: give a port that is not 0 or one of {taken}")
    return int(value)


def _environment(given: list[str]) -> dict[str, str]:
    """The variables of --env, and the one that most users will change."""
    found = {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise UsageError(f"--env={text}: NAME=VALUE is expected")
        if _SECRET.search(name):
            # The value is not repeated: what is on the screen is in logs.
            raise UsageError(
                f"--env={name}=...: a ConfigMap is no place for a secret: put it into the Secret "
                "that --secret names"
            )
        found[name] = value
    return found
