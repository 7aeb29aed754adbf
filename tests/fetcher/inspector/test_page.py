"""The page in a real browser: it reads well in all its states, and runs nothing that is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from shop import LATE_EVENT, MARKUP, SALES

DESKTOP, PHONE = (1280, 900), (390, 844)
FLIGHTS = {"group_by": "flights.delays", "key.carrier": "UA", "key.origin": "EWR"}
ICE_CREAM = {
    "group_by": "ice_cream.group_by.ice_cream_group_by",
    "key.customer_id": "Alice",
    "at": "300000",
}
SOLD = {"group_by": SALES, "key.customer": MARKUP, "at": "2024-10-04T12:00:00Z"}
AT_TEN = {"at": "2013-01-03T22:00:00Z"}

STATES = {
    "nothing asked": {},
    "a GroupBy": {"group_by": "flights.delays"},
    "ice cream": ICE_CREAM,
    "batch and stream": {**FLIGHTS, **AT_TEN, "feature": "dep_delay_average_1d_by_length"},
    "288 tiles": {**SOLD, "feature": "price_average_1d"},
    "two times": {**SOLD, "compare": "2024-10-04T11:13:00Z", "feature": "flavor_last3_1d"},
    "unknown key": {**ICE_CREAM, "key.customer_id": "<i>Eve</i>"},
}


@contextmanager
def opened(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, scheme: str = "light", **more: bool
) -> Iterator[Page]:
    """A page whose console has nothing to complain about."""
    complaints: list[str] = []
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # pyright: ignore[reportArgumentType]
        java_script_enabled=more.get("script", True),
    )
    context.set_default_timeout(300_000)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    # A browser reports the status of a page that is an error.
    assert [said for said in complaints if "server responded with a status" not in said] == []


def url_of(address: str, state: dict[str, str]) -> str:
    return f"{address}?{urlencode(state)}"


@pytest.mark.parametrize("state", STATES)
def test_page_reads_well(browser: Browser, address: str, state: str) -> None:
    """Contrast of WCAG AA and all else that axe-core finds, and nothing beyond the edge."""
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        with opened(browser, url_of(address, STATES[state]), size, scheme) as page:
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert beyond <= 0, scheme
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


def test_every_bar_of_a_day_is_drawn(browser: Browser, address: str) -> None:
    with opened(browser, url_of(address, {**STATES["288 tiles"], "steps": "all"})) as page:
        assert page.locator("svg .bar:not(.outside)").count() == 288
        assert page.locator(".steps [id^=step-]").count() == 288
        assert page.locator(".bar.corrected").count() == 1
        meant = page.locator(".legend li").all_inner_texts()
        assert meant == ["tile, complete", "tile, open", "corrected by late events"]
        titles = page.locator(".bar.corrected title").text_content() or ""
        assert "corrected by late events" in titles
        # The last step, the value on top and the table say the same.
        value = page.locator(".row.final .value").inner_text().removeprefix("value: ")
        assert page.locator(".answer").inner_text() == value
        assert page.locator("tr.chosen .value").inner_text() == value


def test_corrected_tile_tells_of_its_late_event(browser: Browser, address: str) -> None:
    with opened(browser, url_of(address, {**SOLD, "feature": "price_average_6h"})) as page:
        late = page.locator(".late").inner_text()
        assert LATE_EVENT in late
        assert "sum 99 / count 1 = 99" in late


def test_markup_of_a_key_is_text(browser: Browser, address: str) -> None:
    with opened(browser, url_of(address, SOLD)) as page:
        assert "pwned" not in page.title()
        assert page.input_value("input[name='key.customer']") == MARKUP
        assert page.locator("main script, main b:text-is('bold')").count() == 0


def test_two_times_are_compared(browser: Browser, address: str) -> None:
    state = {**SOLD, "feature": "price_count_6h", "compare": "2024-10-04T12:10:00Z"}
    with opened(browser, url_of(address, state)) as page:
        said = page.locator(".differences .row").all_inner_texts()
        assert len(said) == 2, said
        assert all("before the window of 2024-10-04 12:10" in each for each in said)
        assert page.locator("tr.chosen .value.differs").count() == 2


def test_page_works_without_javascript(browser: Browser, address: str) -> None:
    with opened(browser, address, script=False) as page:
        page.select_option("select", "flights.delays")
        page.click("button")
        page.fill("input[name='key.carrier']", "UA")
        page.fill("input[name='key.origin']", "EWR")
        page.fill("input[name=at]", AT_TEN["at"])
        page.click("button")
        assert page.locator(".answer").inner_text() == "40"
        page.click("text=arr_delay_average_6h")
        assert page.locator(".answer").inner_text() == "0.95"
        page.click("a[rel=next]")
        assert page.locator(".at time").first.inner_text() == "2013-01-03 22:05"


def test_choosing_a_group_by_asks_for_its_key(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        page.select_option("select", SALES)
        page.wait_for_selector("input[name='key.customer']")
