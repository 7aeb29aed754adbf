"""Serves what a worker measures for Prometheus, where the job's options ask for it.

Importing this module does that: workers in processes of their own import it because the job names
it with `FLAG`. The worker's log has the port. A worker that finds no free port logs an error, and
works without an endpoint.
"""

import logging
import os

from apache_beam.options.value_provider import RuntimeValueProvider

from chronon_beam.pipeline.runners.metrics_endpoint import endpoint_of

FLAG = f"--beam_plugin={__name__}"
"""For Beam: workers import this module before they work."""

_log = logging.getLogger(__name__)

if endpoint := endpoint_of(RuntimeValueProvider.runtime_options or {}):
    try:
        url = endpoint.start().url
        _log.info("Prometheus metrics of worker process %d: %s", os.getpid(), url)
    except OSError as error:
        _log.error("%s", error)
