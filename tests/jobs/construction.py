"""Lets Beam build the pipelines of tests without asking the same things for each transform.

Beam asks a pipeline's options for a view of one kind several times per transform, and each time
makes a parser and parses all flags (seen in Beam 2.77). It asks a DoFn for its states and timers
about eight times, and each time inspects every method. That is half of the 0.35 s of CPU that a job
takes to start, which hundreds of tests of whole jobs would pay.
"""

from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import userstate

Specs = tuple[set[Any], set[Any]]
"""The states of a DoFn and its timers."""

_view_as = PipelineOptions.view_as
_views: "WeakKeyDictionary[PipelineOptions, dict[type[PipelineOptions], PipelineOptions]]"
_views = WeakKeyDictionary()

_get_dofn_specs = userstate.get_dofn_specs
_specs: "WeakKeyDictionary[Any, Specs]" = WeakKeyDictionary()


def ask_once() -> None:
    """Make Beam remember views of options and what DoFns declare; call it before a pipeline.

    Views of the same options share their values, so a view that is given out again differs in
    nothing from a new one. The states and timers of a DoFn are in the signatures of its methods.
    """
    PipelineOptions.view_as = _known_view  # type: ignore[method-assign]
    userstate.get_dofn_specs = _known_specs


def _known_view(options: PipelineOptions, kind: type[Any]) -> Any:
    views = _views.setdefault(options, {})
    view: Any = views.get(kind)
    if (
        view is None
        or view._flags is not options._flags
        or view._all_options is not _values(options)
    ):
        view = views[kind] = _view_as(options, kind)
    return view


def _values(options: Any) -> Any:
    """The dict that all views of these options share."""
    return options._all_options


def _known_specs(dofn: Any) -> Specs:
    try:
        known = _specs.get(dofn)
    except TypeError:  # a DoFn that cannot be hashed, such as one with an __eq__ of its own
        return _get_dofn_specs(dofn)
    if known is None:
        known = _specs[dofn] = _get_dofn_specs(dofn)
    states, timers = known
    return set(states), set(timers)
