"""The page over HTTP: `routes` and `mounted_routes` give the routes for a server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.time_text import moment_text
from chronon_beam.fetcher.entity_key import Key, KeyMismatch
from chronon_beam.fetcher.fetch import Fetcher, QueryBeforeBatch
from chronon_beam.fetcher.inspector import times
from chronon_beam.fetcher.inspector.differences import Difference, differences
from chronon_beam.fetcher.inspector.evidence import (
    Evidence,
    StoreFailure,
    read_evidence,
    reading_store,
    without_derivations,
)
from chronon_beam.fetcher.inspector.explain import explain
from chronon_beam.fetcher.inspector.question import PageError, Question, time_of
from chronon_beam.fetcher.inspector.timeline import TILES_HEIGHT, extent
from chronon_beam.fetcher.inspector.view import (
    FEW,
    FeatureRow,
    Look,
    derived_rows,
    feature_rows,
    legend,
    look,
    sentence,
)
from chronon_beam.fetcher.rows import reason_of

_FOLDER = Path(__file__).parent

_ASSETS = {
    "inspect.css": "text/css",
    "inspect.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Key values stand in the page's address.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The headers of each answer: a browser runs no code and no style but those of the page's files."""


class GroupByFetchers(Protocol):
    """Finds the GroupBys that the page can show."""

    def names(self) -> Sequence[str]:
        """The names of the GroupBys."""
        ...

    def fetcher(self, name: str) -> Fetcher:
        """The fetcher for what the store holds now.

        Raises:
            KeyError: `names` does not have the name.
            GroupByError: the GroupBy cannot be fetched.
        """
        ...


Entities = Callable[[Fetcher], Sequence[Key]]
"""Finds some keys of a GroupBy in its store."""


class Inspection(NamedTuple):
    """What the page shows of a key that was found, for the template.

    Attributes:
        chosen: the name of the feature that is explained.
        sentence: what this feature is, in words.
        features: the table of features.
        derived: the table of derived features.
        looks: one, or two if times are compared.
        legend: see `view.legend`.
        differences: between the two looks; empty for one.
        hop: how far the links to earlier and later times go.
        earlier, later, permalink: query strings.
    """

    chosen: str
    sentence: str
    features: list[FeatureRow]
    derived: list[FeatureRow]
    looks: list[Look]
    legend: list[tuple[str, str]]
    differences: list[Difference]
    hop: str
    earlier: str
    later: str
    permalink: str


@dataclass(frozen=True)
class Inspector:
    """Answers the requests for the page.

    Attributes:
        fetchers: finds the GroupBys.
        entities: finds some keys, for people to choose from; by default the page offers no keys.
        store: the name of the store on the page.
    """

    fetchers: GroupByFetchers
    entities: Entities = lambda fetcher: ()
    store: str = ""
    templates: Environment = field(
        default_factory=lambda: Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    )

    def page(self, request: Request) -> Response:
        """The page of a question; the page says why if there is nothing to show."""
        question = Question.of(request.query_params.multi_items())
        page = _Page(self, question, request.scope.get("root_path", ""))
        try:
            page.answer()
        except PageError as error:
            page.failed = error
        except StoreFailure as error:
            details = (
                f"{error}. Look whether it is there and can be reached, then load this page again."
            )
            page.failed = PageError(503, "The store cannot be read", details)
        return page.response()

    def asset(self, request: Request) -> Response:
        """A file of the page: its style, its script or its icon."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response(status_code=404, headers=HEADERS)
        content = (_FOLDER / "assets" / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers=HEADERS)


@dataclass
class _Page:
    """A page while it is made; if that fails, the page also shows what was found before."""

    inspector: Inspector
    question: Question
    root: str
    fetcher: Fetcher | None = None
    names: Sequence[str] = ()
    samples: Sequence[Key] = ()
    inspection: Inspection | None = None
    failed: PageError | None = None

    def answer(self) -> None:
        """Find out what the page shows; raises PageError, StoreFailure."""
        with reading_store():
            self.names = sorted(self.inspector.fetchers.names())
        if not self.question.group_by and len(self.names) == 1:
            self.question = Question(self.names[0], self.question.keys)
        if not self.question.group_by:
            return
        self.fetcher = self._fetcher()
        if self.question.keys:
            self.inspection = self._inspected(self.fetcher)
        else:
            self.samples = self._samples(self.fetcher)

    def _fetcher(self) -> Fetcher:
        name = self.question.group_by
        if name not in self.names:
            known = ", ".join(self.names) or "none"
            raise PageError(404, "No such GroupBy", f"{name} is not here. Here are: {known}.")
        try:
            return self.inspector.fetchers.fetcher(name)
        except GroupByError as error:
            raise PageError(409, "The GroupBy cannot be read", f"{error}.") from error
        except Exception as error:
            raise StoreFailure(reason_of(error)) from error

    def _samples(self, fetcher: Fetcher) -> Sequence[Key]:
        with reading_store():
            return self.inspector.entities(fetcher)

    def _inspected(self, fetcher: Fetcher) -> Inspection:
        question = self.question
        key = question.key(fetcher.plan.keys.columns)
        chosen = self._chosen(fetcher)
        times_ms = [time_of(question.at)]
        if question.compare:
            times_ms.append(time_of(question.compare))
        evidences = [_evidence(fetcher, key, at_ms) for at_ms in times_ms]
        if not any(each.is_found for each in evidences):
            self._refuse_unknown(evidences[0])
        return _inspection(question, evidences, chosen)

    def _chosen(self, fetcher: Fetcher) -> str:
        """The name of the feature that is explained."""
        names = [each.name for each in fetcher.plan.group_by.features]
        if not names:
            details = (
                f"{self.question.group_by} has no aggregations: its features are stored as is."
            )
            raise PageError(409, "Nothing is merged", details)
        chosen = self.question.feature or names[0]
        if chosen not in names:
            details = f"{chosen} is not one. There are: {', '.join(names)}."
            raise PageError(404, "No such feature", details)
        return chosen

    def _refuse_unknown(self, evidence: Evidence) -> None:
        if evidence.last_ms is None:
            self.samples = self._samples(evidence.fetcher)
            raise PageError(
                404,
                "The store does not know this key",
                "It has no tile, row or batch value of it, at any time.",
            )

    def response(self) -> Response:
        """The page."""
        template = self.inspector.templates.get_template("page.html")
        html = template.render(
            question=self.question,
            columns=self.fetcher.plan.keys.columns if self.fetcher else {},
            group_by=self.fetcher.plan.group_by if self.fetcher else None,
            names=self.names,
            samples=[(_key_text(key), _key_link(self.question, key)) for key in self.samples],
            store=self.inspector.store,
            inspection=self.inspection,
            failed=self.failed,
            root=self.root,
            tiles_height=TILES_HEIGHT,
            stamp=times.stamp,
        )
        return HTMLResponse(html, self.failed.status if self.failed else 200, HEADERS)


def _evidence(fetcher: Fetcher, key: Key, at_ms: int) -> Evidence:
    try:
        return read_evidence(fetcher, key, at_ms)
    except KeyMismatch as error:
        raise PageError(400, "The key does not fit", f"{error}.") from error
    except QueryBeforeBatch as error:
        raise PageError(422, "The time is before the end of the batch", f"{error}.") from error
    except StoreFailure:
        raise
    except ValueError as error:
        details = f"{reason_of(error)}. The store holds bytes that are not of this GroupBy."
        raise PageError(500, "A stored value cannot be read", details) from error


def _inspection(question: Question, evidences: list[Evidence], chosen: str) -> Inspection:
    plan = evidences[0].fetcher.plan
    features = plan.group_by.features
    bare = [_bare_values(each) for each in evidences]
    covered = extent([explain(each, chosen) for each in evidences])
    looks = [
        look(evidence, chosen, values, covered, question.steps or (FEW if question.compare else ""))
        for evidence, values in zip(evidences, bare, strict=True)
    ]
    feature = next(each for each in features if each.name == chosen)
    hop_ms = feature.part.window.hop_ms if feature.part.window else DAY_MS
    fixed = Question(**{**vars(question), "at": looks[0].moment, "feature": chosen})
    at_ms = evidences[0].at_ms
    return Inspection(
        chosen,
        sentence(feature),
        feature_rows(fixed, features, bare, chosen),
        derived_rows(evidences),
        looks,
        legend(looks),
        differences(looks) if len(looks) == 2 else [],
        times.length(hop_ms),
        fixed.link(at=moment_text(at_ms - hop_ms)),
        fixed.link(at=moment_text(at_ms + hop_ms)),
        fixed.link(),
    )


def _bare_values(evidence: Evidence) -> dict[str, object]:
    """The values of a fetch, before derivations."""
    fetcher = without_derivations(evidence.fetcher)
    return fetcher.reading([evidence.key], evidence.at_ms).values(evidence.found)[0]


def _key_text(key: Key) -> str:
    return ", ".join(f"{name} = {'null' if v is None else v}" for name, v in key.items())


def _key_link(question: Question, key: Key) -> str:
    texts = {name: None if value is None else _key_field(value) for name, value in key.items()}
    return Question(question.group_by, texts, question.at).link()


def _key_field(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def routes(
    fetchers: GroupByFetchers, entities: Entities | None = None, store: str = ""
) -> list[Route]:
    """The page at `/` and its files, to be mounted where a server wants it.

    Args:
        fetchers: finds the GroupBys.
        entities: see `Inspector.entities`.
        store: the name of the store on the page.
    """
    inspector = Inspector(fetchers, entities or (lambda fetcher: ()), store)
    return [
        Route("/", inspector.page, methods=["GET"]),
        Route("/assets/{name}", inspector.asset, methods=["GET"]),
    ]


def mounted_routes(fetchers: GroupByFetchers, entities: Entities, store: str) -> list[BaseRoute]:
    """The page at `/inspect/`, for a server that has other routes; see `routes`."""

    def there(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/inspect/")

    return [
        Route("/inspect", there, methods=["GET"]),
        Mount("/inspect", routes=routes(fetchers, entities, store)),
    ]
