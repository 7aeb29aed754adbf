"""Values that each launch of a template gives: its workers know them, its builder does not.

They are Beam's RuntimeValueProviders: a runner gives its workers the pipeline options of the
launch, and a provider finds its value there. So code that opens a source, a store or dead letters
calls `value_of` in the worker.
"""

from apache_beam.options.value_provider import RuntimeValueProvider, ValueProvider

Given = str | ValueProvider
"""A text that is known, or one that only workers know."""


def at_launch(option: str, default: str = "") -> ValueProvider:
    """The pipeline option that a launch gives; `default` where it gives none.

    >>> RuntimeValueProvider.set_runtime_options({"store": "sqlite:a.db"})
    >>> at_launch("store").get()
    'sqlite:a.db'
    >>> RuntimeValueProvider.set_runtime_options(None)
    """
    return RuntimeValueProvider(option, str, default)


def value_of(given: Given) -> str:
    """The text; that of a provider is known in a worker only.

    >>> value_of("sqlite:a.db")
    'sqlite:a.db'
    """
    return given.get() if isinstance(given, ValueProvider) else given


def number_of(option: str) -> int:
    """A number among the options of the launch, for use in workers; 0 if there is none."""
    return int(float(RuntimeValueProvider.get_value(option, str, "0")))
