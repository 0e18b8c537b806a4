"""The page in a real browser without a window: it opens from disk, fetches nothing, and shows what `front --json` says."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paredown.cli import main
from paredown.report.page import study_page
from paredown.report.page.study_page import write_page
from tests.report.page import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROME = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
QUIET = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LOCAL = ("file:", "data:", "blob:", "about:")

pytestmark = pytest.mark.skipif(CHROME is None, reason="needs chromium or google-chrome")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROME, args=["--no-sandbox", *QUIET])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which everything is known, with names and texts that would do harm as markup."""
    folder = pages.write_study(tmp_path_factory.mktemp("browser"), label=pages.HOSTILE, quality="-1.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_page, "gather_facts", lambda *given: pages.facts(folder, pages.HOSTILE))
        write_page(folder)
    return folder


class Opened:
    """A page, and everything that it should not have done."""

    def __init__(self, page: "Page", path: Path) -> None:
        self.page, self.wrong = page, list[str]()
        page.on("console", lambda message: self.wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.wrong.append(request.url) if not request.url.startswith(LOCAL) else None)
        page.goto(path.as_uri())
        page.wait_for_selector("#front-chart .plotly")
        page.wait_for_selector("#front-chart .scatterlayer .point")

    def chosen(self) -> str:
        return self.page.inner_text("#trial-title")

    def close(self) -> None:
        self.page.context.close()
        assert self.wrong == []


@pytest.fixture(scope="module")
def laptop(browser: "Browser", study: Path) -> Opened:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce")
    return Opened(context.new_page(), report(study))


@pytest.fixture
def opened(laptop: Opened) -> Iterator[Opened]:
    """The page with the trial that leads chosen, by its button; loading it anew for each test takes a second."""
    laptop.page.click('#picks button[data-trial="2"]')
    laptop.page.evaluate("scrollTo(0, 0)")
    yield laptop
    assert laptop.wrong == []


def report(study: Path) -> Path:
    return study / "front" / "report.html"


def test_its_figures_are_those_of_the_command(opened: Opened, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["front", str(study), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    inside = json.loads(opened.page.inner_text("#study-data"))["front"]
    assert inside == [{name: value for name, value in row.items() if name != "configuration"} for row in expected]
    assert [row["trial"] for row in expected] == [0, 1, 2, 4]
    rows = [
        [cell.inner_text().strip() for cell in row.query_selector_all("td")]
        for row in opened.page.query_selector_all("#front-table tbody tr")
    ]
    assert [row[0] for row in rows] == [f"Trial {row['trial']}" for row in expected]
    assert rows[1][1:4] == ["−0.50 chrF [−1.50, +0.50]", "60.0 ms", "4.00 MB"]
    assert opened.page.title() == "toy: paredown report"
    assert "quality ≥ −1 chrF is trial 2: 3.9 MB" in opened.page.inner_text("#verdict")


def drawn(opened: Opened) -> dict[str, Any]:
    """Of the front as plotly drew it: titles of the axes and, of the trace of what keeps the budgets, its coordinates."""
    found: dict[str, Any] = opened.page.evaluate(
        """() => { const { data, layout } = document.getElementById("front-chart");
        const trace = data.find((one) => one.name === "on the front"), lines = layout.shapes.filter((one) => one.type === "line");
        return { x: layout.xaxis.title.text, y: layout.yaxis.title.text, log: layout.xaxis.type === "log",
        xs: trace.x, ys: trace.y, lows: trace.error_y.arrayminus, lines: lines.length }; }"""
    )
    return found


def test_objectives_can_be_switched(opened: Opened) -> None:
    opened.page.select_option("#axis-x", label="size")
    opened.page.select_option("#axis-y", label="quality")
    before = drawn(opened)
    assert (before["x"], before["y"], before["log"]) == ("size, MB", "quality, chrF", True)
    assert (before["xs"], before["ys"], before["lows"]) == ([4.0, 3.9], [-0.5, -0.8], [1.0, 1.0])
    assert before["lines"] == 1  # the budget of quality
    opened.page.select_option("#axis-x", label="latency on cpu")
    opened.page.select_option("#axis-y", label="size")
    after = drawn(opened)
    assert (after["x"], after["y"]) == ("latency on cpu, ms", "size, MB")
    assert (after["xs"], after["ys"], after["lines"]) == ([60.0, 59.0], [4.0, 3.9], 0)


def test_a_point_opens_its_card(opened: Opened) -> None:
    assert opened.chosen() == "Trial 2"
    opened.page.select_option("#axis-x", label="size")
    opened.page.select_option("#axis-y", label="quality")
    opened.page.evaluate("document.getElementById('front-chart').scrollIntoView({ block: 'center' })")
    place = opened.page.evaluate(
        """() => { const node = document.getElementById("front-chart"), box = node.getBoundingClientRect(), layout = node._fullLayout;
        return [box.x + layout._size.l + layout.xaxis.d2p(9), box.y + layout._size.t + layout.yaxis.d2p(-9)]; }"""
    )
    opened.page.mouse.move(*place)
    opened.page.wait_for_selector("#front-chart .hovertext")
    opened.page.mouse.click(*place)
    opened.page.wait_for_selector("#trial-title:text-is('Trial 3')")
    card = opened.page.inner_text("#trial")
    assert "dominated" in card
    assert "−9.00 chrF [−10.00, −8.00]" in card
    assert opened.page.inner_text("#export").endswith("--trial 3 -o toy-3")


def test_the_card_tells_bits_bytes_and_provenance(opened: Opened) -> None:
    cells = opened.page.query_selector_all("table.blocks td span")
    expected = dict(pages.configuration(2).bits)
    assert [cell.inner_text() for cell in cells[:4]] == [
        str(expected[path]) for path in (pages.LAYERS[0], pages.LAYERS[2], pages.LAYERS[1], pages.LAYERS[3])
    ]
    card = opened.page.inner_text("#trial")
    for words in (
        "Where its bytes go",
        "12.00 MB",
        "Measured: the mean share of each stage in 20 runs, of the latency on cpu above.",
        "decoder blocks 0, 1, 5 of 6 kept",
        "encoder.feed_forward 25 %",
    ):
        assert words in card
    bars = opened.page.query_selector_all("#trial h3:text-is('Where its milliseconds go') + div.bars span.number")
    assert [bar.inner_text() for bar in bars] == ["5.90 ms", "17.7 ms", "35.4 ms"]
    bought = opened.page.query_selector_all("#trial div.columns ~ div tbody tr th, #trial div.columns ~ div tbody tr td")
    assert [cell.inner_text().strip() for cell in bought] == ["bits", "−0.50 chrF", "× 0.500", "× 0.500"]
    opened.page.click("#trial details summary")
    assert "search: measured; 200 observations; 95 % interval" in opened.page.inner_text("#trial details p")


def test_a_row_opens_its_card_by_keyboard(opened: Opened) -> None:
    opened.page.focus('#front-table button[data-trial="4"]')
    opened.page.keyboard.press("Enter")
    assert opened.chosen() == "Trial 4"
    assert opened.page.evaluate("document.activeElement.dataset.trial") == "4"
    assert opened.page.get_attribute('#front-table button[data-trial="4"]', "aria-pressed") == "true"


def test_rows_are_sorted_by_a_column(browser: "Browser", study: Path) -> None:
    shown = Opened(browser.new_context().new_page(), report(study))
    assert shown.chosen() == "Trial 2"  # the one that leads
    shown.page.click("#front-table thead button >> nth=2")  # by size, the smallest first
    assert shown.page.inner_text("#front-table tbody button >> nth=0") == "Trial 4"
    assert shown.page.get_attribute("#front-table thead th >> nth=3", "aria-sort") == "ascending"
    shown.page.click("#front-table thead button >> nth=2")
    assert shown.page.inner_text("#front-table tbody button >> nth=0") == "Trial 0"
    shown.close()


def test_light_and_dark(opened: Opened, browser: "Browser", study: Path) -> None:
    def background(shown: Opened) -> str:
        return str(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert background(opened) == "rgb(255, 255, 255)"
    opened.page.click("#theme")
    assert background(opened) == "rgb(20, 23, 27)"
    font = "document.getElementById('front-chart')._fullLayout.font.color"
    assert opened.page.evaluate(font) == "#e8eaed"
    opened.page.click("#theme")
    assert background(opened) == "rgb(255, 255, 255)"
    dark = Opened(browser.new_context(color_scheme="dark").new_page(), report(study))
    assert background(dark) == "rgb(20, 23, 27)"
    dark.close()


def test_a_phone_does_not_scroll_sideways(browser: "Browser", study: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    shown = Opened(context.new_page(), report(study))
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth && innerWidth === 390")
    small = shown.page.evaluate(
        """() => [...document.querySelectorAll("button, select, summary, nav a")].filter((one) => one.offsetParent)
        .filter((one) => one.getBoundingClientRect().height < 40).map((one) => one.textContent)"""
    )
    assert small == []
    shown.close()


def test_hostile_text_stays_text(opened: Opened) -> None:
    for number in (1, 4):
        opened.page.click(f'#front-table button[data-trial="{number}"]')
    opened.page.select_option("#heard-pick", index=0)
    opened.page.select_option("#course-x", value="at")
    opened.page.click("#stopped summary")
    opened.page.hover("#front-chart .scatterlayer .point >> nth=0", force=True)
    assert pages.HOSTILE in opened.page.inner_text("#trial")
    assert pages.HOSTILE in opened.page.inner_text("#stopped-table")
    assert opened.page.inner_text("#heard-list").count("onmouseover") >= 2
    assert opened.page.evaluate("window.harmed") is None
    assert opened.page.query_selector_all("main b, main img") == []


def test_every_section_is_there(opened: Opened) -> None:
    assert len(opened.page.query_selector_all("#charts figure")) == 4
    assert len(opened.page.query_selector_all("#course-charts figure")) == 4
    assert len(opened.page.query_selector_all("audio")) == 2
    assert "target's cpu" in opened.page.inner_text("#provenance")
    assert len(opened.page.query_selector_all(".chart .svg-container")) == 9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_quickstarts_report_shows_its_front(
    browser: "Browser", tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled model itself: under 6 MB, every row, point and card with the figures of `front --json`, in any two objectives."""
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "quickstart"
    assert main(["run", "studies/quickstart.toml", "--trials", "6", "--time", "1h", "-o", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    assert report(folder).stat().st_size < 6e6
    capsys.readouterr()
    assert main(["front", str(folder), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert expected
    shown = Opened(browser.new_context(viewport={"width": 1280, "height": 900}).new_page(), report(folder))
    inside = json.loads(shown.page.inner_text("#study-data"))
    assert set(inside["missing"]) == {"sensitivity"}  # the study needs no pruning curves
    assert inside["front"] == [{name: value for name, value in row.items() if name != "configuration"} for row in expected]
    scales = {"quality": 1.0, "latency_ms@cpu": 1.0, "size_bytes": 1e6}
    names = {"quality": "quality", "latency_ms@cpu": "latency on cpu", "size_bytes": "size"}
    kept = [row["values"] for row in expected if row["feasible"] and row["trial"]]  # the uncompressed model is drawn by itself
    for one, other in itertools.permutations(scales, 2):
        shown.page.select_option("#axis-x", label=names[one])
        shown.page.select_option("#axis-y", label=names[other])
        points = drawn(shown)
        told = sorted((row[one] / scales[one], row[other] / scales[other]) for row in kept)
        assert sorted(zip(points["xs"], points["ys"], strict=True)) == [pytest.approx(pair) for pair in told]
    for row in expected:
        shown.page.click(f'#front-table button[data-trial="{row["trial"]}"]')
        assert shown.chosen() == f"Trial {row['trial']}"
        card = shown.page.inner_text("#trial")
        assert f"{row['values']['size_bytes'] / 1e6:.2f} MB" in card
        assert "Measured: the mean share of each stage" in card
    shown.close()
