"""What the reading step refuses when a job is built."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.api.records import Messages
from chronon_beam.io.pubsub.options import parse_options
from chronon_beam.io.pubsub.read import ReadFromPubsub


def laid(*flags: str) -> beam.PCollection[Messages]:
    """The step in a pipeline with these flags."""
    options = parse_options("pubsub://shop/subscriptions/orders")
    root = beam.Pipeline(FnApiRunner(), PipelineOptions([*flags]))
    return root | ReadFromPubsub(options, pa.schema([]))


def test_flink_needs_checkpoints_for_messages_to_be_acknowledged() -> None:
    with pytest.raises(ValueError, match="no message is ever acknowledged.*: add --checkpointing"):
        laid("--runner=FlinkRunner")
    assert not laid("--runner=FlinkRunner", "--checkpointing_interval=1000").is_bounded
