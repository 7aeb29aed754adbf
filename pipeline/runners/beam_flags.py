"""Runner flags: which flags of Beam and its runners a job may be given besides our own.

A flag that is not ours and that neither Beam nor the runner knows is an error, which names the
nearest flag that exists; Beam itself would ignore it. The value of a flag comes from the command
line, else from the YAML file of `--runner_config` (`runners.runner_config`), else it is one that is
safe for the runner (`runners.flink`, `runners.choose`).
"""

import argparse
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

# The flags of Flink's runner are declared in Java: Beam gets them from its job server only.
_FLINK = """
    allow_non_restored_state auto_balance_write_files_sharding_enabled auto_watermark_interval
    checkpoint_timeout_millis checkpointing_interval checkpointing_mode
    disable_metrics execution_mode_for_batch execution_retry_delay
    externalized_checkpoints_enabled fail_on_checkpointing_errors faster_copy files_to_stage
    finish_bundle_before_checkpointing flink_conf_dir flink_master force_slot_sharing_group
    force_unaligned_checkpoint_enabled job_check_interval_in_secs latency_tracking_interval
    max_bundle_size max_bundle_time_mills max_parallelism min_pause_between_checkpoints
    number_of_concurrent_checkpoints number_of_execution_retries object_reuse
    operator_chaining parallelism re_iterable_group_by_key_result report_checkpoint_duration
    retain_externalized_checkpoints_on_cancellation savepoint_path
    shutdown_sources_after_idle_ms state_backend state_backend_factory
    state_backend_storage_path stream_pipeline_options use_data_stream_for_batch
""".split()  # noqa: SIM905 - fifty quoted words are no easier to read


def known(runner: str) -> list[str]:
    """All `--flags` that a job on `runner` may be given besides our own."""
    parser: Any = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options in (PipelineOptions, *PipelineOptions.__subclasses__()):
        try:
            options._add_argparse_args(parser)
        except argparse.ArgumentError:
            continue  # declared by two classes; the other one's is there
    beams = [flag for action in parser._actions for flag in action.option_strings]
    flinks = [f"--{name}" for name in _FLINK] if runner in ("FlinkRunner", "PortableRunner") else []
    return beams + flinks
