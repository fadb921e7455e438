"""The page in a browser: no error, no request, every chart drawn, no sideways scrolling."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import skipwise
from skipwise.reports.diagnosis import write_diagnosis
from skipwise.reports.lesson import lesson_report
from tests.comparison.planted import whole
from tests.lessons import planted
from tests.references import rings_file
from tests.reports.diagnoses import real, strange
from tests.reports.test_page import data_of
from tests.watch.test_watch import TINY, harmed

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.xdist_group("processes")]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
CHARTS = {
    "one": 8,
    "several": 3,
    "study": 22,
    "lesson": 16,
    "diagnosis": 16,
    "strange": 1,
    "watched": 15,
    "numbers": 6,
    "no parts": 6,
    "broken": 5,
}
ALL = "gradients:every=9,curvature:every=9:top,units:every=9,updates:every=9,normalisation:every=9"
SHAPES = (
    "() => [...document.querySelectorAll('.chart')].map(c => "
    "c.querySelectorAll('svg.main-svg .trace path, svg.main-svg .hm image').length)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as program:
        started = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    data = str(rings_file(folder / "rings.npz"))
    for seed in (0, 1):
        skipwise.train(
            data, TINY, out=str(folder / f"{seed}"), epochs=4, batch_size=32, seed=seed, quiet=True
        )
    several = skipwise.report(folder / "0", folder / "1", out=folder / "both.html")
    study = skipwise.reports.study_report(whole(), folder)
    lesson = lesson_report(planted.lesson(), folder)
    watched = folder / "watched"
    skipwise.train(data, TINY, out=str(watched), epochs=4, batch_size=32, watch=ALL, quiet=True)
    for kind in ("numbers", "no parts"):
        (folder / kind).mkdir()
        data, out = data_of(kind, folder / kind), str(folder / kind / "run")
        skipwise.train(data, TINY, out=out, epochs=4, batch_size=32, quiet=True)
    harmed(folder / "broken", "unreadable", after=15)
    return {
        "one": folder / "0" / "report.html",
        "several": several,
        "study": study,
        "lesson": lesson,
        "diagnosis": write_diagnosis(real().as_plain(), folder / "diagnosis.html"),
        "strange": write_diagnosis(strange(), folder / "strange.html"),
        "watched": watched / "report.html",
        "numbers": folder / "numbers" / "run" / "report.html",
        "no parts": folder / "no parts" / "run" / "report.html",
        "broken": skipwise.report(folder / "broken"),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", CHARTS)
def test_a_page_draws_everything_and_asks_for_nothing(browser, pages, kind, width, scheme):
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, errors, requests = context.new_page(), [], []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    address = pages[kind].resolve().as_uri()
    page.goto(address)
    page.wait_for_function("() => document.querySelectorAll('.chart .main-svg').length > 0")
    assert errors == []
    assert [url for url in requests if url != address and not url.startswith("data:")] == []
    drawn = page.evaluate(SHAPES)
    assert len(drawn) == CHARTS[kind]
    assert all(count > 0 for count in drawn), drawn
    for element in page.query_selector_all("details"):
        element.evaluate("e => e.open = true")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    if folder := os.environ.get("SKIPWISE_PICTURES"):
        for element in page.query_selector_all("details"):
            element.evaluate("e => e.open = false")
        page.screenshot(path=f"{folder}/{kind}-{width}-{scheme}.png", full_page=True)
    context.close()


def test_charts_follow_a_change_to_dark(browser, pages):
    page = browser.new_page(color_scheme="light")
    page.goto(pages["one"].resolve().as_uri())
    colour = "() => getComputedStyle(document.querySelector('#loss-chart .trace path')).stroke"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => ({colour})() !== before", arg=light)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_saved_as_a_picture_with_the_colours_of_the_page(browser, pages, scheme):
    page, errors = browser.new_page(color_scheme=scheme), []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(pages["one"].resolve().as_uri())
    page.hover("#loss-chart")
    with page.expect_download() as waiting:
        page.click("#loss-chart .modebar-btn")
    assert waiting.value.suggested_filename == "loss.svg"
    picture = Path(waiting.value.path()).read_text()
    assert "var(" not in picture
    named = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    for name in ("--card", "--text", "--first"):
        red, green, blue = bytes.fromhex(page.evaluate(named, name).removeprefix("#"))
        assert f"rgb({red}, {green}, {blue})" in picture, name
    assert len(page.query_selector_all("#loss-chart .modebar-btn")) == 1
    assert errors == []
    page.close()
