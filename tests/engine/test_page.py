"""The report's page in a real browser, without network: seen, and used as a person would."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.platforms import parse
from buildx_tasks.reports import page
from buildx_tasks.verification.results import CellResult, CheckResult, Report

from .conftest import ROOT, SAID, cannot_run
from .sample_report import HOSTILE, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
QUIETLY = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
IMAGES = ROOT / "docs" / "images"
FAILED = "hello-prebuilt@linux/arm/v7"
DESKTOP, PHONE = (1280, 800), (390, 844)

# Contrast of each text with what is behind it, as WCAG 2 counts it; those below 4.5 are returned.
TOO_FAINT = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".quiet")) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${element.className || element.tagName}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        cannot_run("no playwright: pip install playwright")
    if not CHROMIUM.exists():
        cannot_run(f"no {CHROMIUM}: run ./bootstrap nox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIETLY)
        yield browser
        browser.close()


class Shown:
    """A report's page in the browser, offline; what it asks for and complains of is kept."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self.url = (folder / "report.html").as_uri()
        self._path = folder / "report.html"
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __call__(
        self,
        what: Report | str,
        size: tuple[int, int] = DESKTOP,
        fragment: str = "",
        **options: Any,
    ) -> Page:
        text = what if isinstance(what, str) else page.text(what)
        self._path.write_text(text, encoding="utf-8")
        context = self._browser.new_context(
            offline=True,
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
            **options,
        )
        shown = context.new_page()
        shown.set_default_timeout(10_000)
        shown.on("request", lambda request: self.requests.append(request.url))
        shown.on("console", lambda message: self.complaints.append(message.text))
        shown.on("pageerror", lambda error: self.complaints.append(str(error)))
        shown.goto(self.url + fragment)
        return shown


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Shown]:
    shown = Shown(browser, tmp_path)
    yield shown
    for context in browser.contexts:
        context.close()
    assert not shown.complaints
    assert {url.partition("#")[0] for url in shown.requests} <= {shown.url, "data:,"}


def width(shown: Page) -> int:
    return int(shown.evaluate("document.documentElement.scrollWidth"))


def panel(shown: Page, cell: str = FAILED) -> Any:
    return shown.locator(f'[id="{cell}"]')


def button(shown: Page, cell: str = FAILED) -> Any:
    return shown.locator(f'button.cell[popovertarget="{cell}"]')


def expect(of: Any) -> Any:
    """Playwright's assertions, which wait: a browser tells of what opened a moment later."""
    from playwright.sync_api import expect as expected

    return expected(of)


def has_focus(of: Any) -> bool:
    return bool(of.evaluate("element => element === document.activeElement"))


def test_it_is_used_with_the_keyboard_alone(show: Shown) -> None:
    shown = show(report())
    first, failed = button(shown, "hello-emulated@linux/amd64"), button(shown)
    for _ in range(10):
        if has_focus(first):
            break
        shown.keyboard.press("Tab")
    expect(first).to_be_focused()
    # Down from a cell goes to the next that there is below it.
    for key in ("ArrowDown", "ArrowDown", "End", "ArrowLeft", "Home", "ArrowRight", "ArrowRight"):
        shown.keyboard.press(key)
    expect(failed).to_be_focused()
    assert failed.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    expect(failed).to_have_attribute("aria-expanded", "false")
    expect(panel(shown)).not_to_be_visible()
    shown.keyboard.press("Enter")
    expect(panel(shown)).to_be_visible()
    expect(panel(shown)).to_be_focused()
    expect(failed).to_have_attribute("aria-expanded", "true")
    shown.keyboard.press("Tab")
    expect(panel(shown).locator("button.close")).to_be_focused()
    shown.keyboard.press("Escape")
    expect(panel(shown)).not_to_be_visible()
    expect(failed).to_be_focused()
    expect(failed).to_have_attribute("aria-expanded", "false")
    # The matrix is one stop: Tab leaves it, and comes back to the cell that was left.
    shown.keyboard.press("Shift+Tab")
    expect(shown.locator("[id='ui.failed']")).to_be_focused()
    shown.keyboard.press("Tab")
    expect(failed).to_be_focused()


def test_a_cell_opens_to_all_that_was_found(show: Shown) -> None:
    shown = show(report())
    button(shown).click()
    text = panel(shown).inner_text()
    for part in (
        "sha256:",
        "exit code: expected 0, got 255",
        "static binary",
        "2 ELF files looked at",
        "docker exec -it buildx-tasks-5f3c sh",
        "selftest: case 40 ok",
    ):
        assert part in text
    first_line = panel(shown).get_by_text("selftest: case 01 ok")
    expect(first_line).not_to_be_visible()
    panel(shown).get_by_text("Show all of stderr").click()
    expect(first_line).to_be_visible()
    panel(shown).get_by_role("button", name="Close").click()
    expect(panel(shown)).not_to_be_visible()
    # What the container wrote stayed text.
    assert HOSTILE.replace("\x1b", "␛") in (panel(shown).text_content() or "")
    assert shown.title() == "verify: 1 of 18 cells failed"


ATTACKS = (
    "</pre></section></script><script>window.taken = 1</script>",
    "<img src=x onerror='window.taken = 1'><svg onload=window.taken=1>",
    "\" onmouseover='window.taken = 1' autofocus onfocus='window.taken = 1' x=\"",
    "<style>body { display: none }</style><link rel=stylesheet href=//a.invalid/x.css>",
    "<iframe srcdoc='<script>parent.taken = 1</script>'></iframe><base href=//a.invalid>",
    "<form action=//a.invalid><button>x</button></form><meta http-equiv=refresh content=0>",
    "javascript:window.taken=1 <a href=javascript:window.taken=1>x</a> --> ]]> &lt;script&gt;",
    "\x1b[31m\x00\u202ecba\u2066 \ud800",
)


def test_nothing_that_others_wrote_runs_or_loads(show: Shown) -> None:
    """In every field that comes from images, containers, Dockerfiles and a stranger's TOML."""
    text = "\n".join(ATTACKS)
    checks = tuple(
        CheckResult(text, text, status, 0.1, (text,), (text,), text, text, text, text)
        for status in ("FAIL", "xfail", "skip", "ok")
    )
    cell = CellResult("app", parse("linux/amd64"), f"sha256:{ATTACKS[0]}", checks, 1.0)
    shown = show(Report("2026-11-25T02:37:44+00:00", 1.0, (cell,), {"engine": text}))
    button(shown, "app@linux/amd64").click()
    expect(panel(shown, "app@linux/amd64")).to_be_visible()
    assert shown.evaluate("window.taken") is None
    assert shown.evaluate("getComputedStyle(document.body).display") != "none"
    inserted = (
        "img, iframe, base, form, link:not([rel=icon]), a[href], [onload], [onerror], [onfocus]"
    )
    assert shown.evaluate(f"document.querySelectorAll(`{inserted}`).length") == 0
    assert shown.evaluate("document.scripts.length") == 1
    assert ATTACKS[0] in (panel(shown, "app@linux/amd64").text_content() or "")


def test_the_policy_lets_nothing_else_run(browser: Browser, tmp_path: Path) -> None:
    """Were there a hole in what escapes, the policy in the page's head would still stop it."""
    path = tmp_path / "holed.html"
    hole = (
        "<script>window.taken = 1</script><img src=x onerror='window.taken = 1'>"
        "<script src=https://a.invalid/x.js></script><a id=j href='javascript:window.taken=1'>j</a>"
        "<style>body { display: none }</style>"
    )
    path.write_text(page.text(report()).replace("<main>", f"<main>{hole}"), encoding="utf-8")
    context = browser.new_context(offline=True)
    shown = context.new_page()
    blocked: dict[str, str] = {}
    shown.on("requestfailed", lambda request: blocked.update({request.url: request.failure}))
    shown.goto(path.as_uri())
    shown.evaluate("document.getElementById('j').click()")
    assert shown.evaluate("window.taken") is None
    assert shown.evaluate("getComputedStyle(document.body).display") != "none"
    # The image, whose address would be a file's, and the script.
    assert len(blocked) == 2
    assert set(blocked.values()) == {"csp"}
    policy = shown.get_attribute("meta[http-equiv=Content-Security-Policy]", "content") or ""
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    context.close()


@pytest.mark.parametrize("script", [True, False])
def test_only_what_failed_is_shown(show: Shown, script: bool) -> None:
    shown = show(report(), java_script_enabled=script)
    rows = shown.locator("tbody tr:visible")
    expect(rows).to_have_count(4)
    shown.locator("[id='ui.failed']").press("Space")
    expect(rows).to_have_count(1)
    assert "hello-prebuilt" in rows.inner_text()
    if script:
        expect(shown.get_by_role("status")).to_have_text("1 of 4 targets")
    button(shown).click()
    expect(panel(shown)).to_be_visible()
    shown.keyboard.press("Escape")
    expect(panel(shown)).not_to_be_visible()
    shown.locator("[id='ui.failed']").press("Space")
    expect(rows).to_have_count(4)


def test_a_cell_can_be_linked_to(show: Shown) -> None:
    shown = show(report(), fragment=f"#{FAILED}")
    expect(panel(shown)).to_be_visible()
    shown.keyboard.press("Escape")
    expect(shown).to_have_url(show.url)
    button(shown).click()
    expect(shown).to_have_url(f"{show.url}#{FAILED}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(show: Shown, scheme: str) -> None:
    shown = show(report(), color_scheme=scheme)
    assert shown.evaluate(TOO_FAINT) == []
    for cell in (FAILED, "hello-cross@linux/arm/v7", "hello-files@linux/riscv64"):
        button(shown, cell).click()
        assert shown.evaluate(TOO_FAINT) == []
        shown.keyboard.press("Escape")


def test_on_paper_failed_cells_are_open(show: Shown) -> None:
    shown = show(report())
    shown.emulate_media(media="print")
    assert panel(shown).is_visible()
    assert not panel(shown, "hello-cross@linux/arm/v7").is_visible()
    assert not shown.get_by_text("Only failed").is_visible()
    assert shown.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("size", [PHONE, (320, 568)])
def test_a_phone_needs_no_scrolling_sideways(show: Shown, size: tuple[int, int]) -> None:
    shown = show(report(), size)
    assert width(shown) <= size[0]
    assert shown.locator("button.cell:visible").count() == 18
    assert "linux/arm/v7" in button(shown).inner_text()
    button(shown).click()
    assert width(shown) <= size[0]
    assert panel(shown).evaluate("element => element.scrollWidth") <= size[0]


def test_it_stays_quick_with_50_targets_on_8_platforms(show: Shown) -> None:
    platforms = "amd64 arm64 arm/v7 arm/v6 riscv64 ppc64le s390x 386".split()
    checks = tuple(
        CheckResult(kind, kind, "ok", 0.5, facts=("measured",), stdout="a line\n" * 100)
        for kind in "run service binaries config files size".split()
    )
    failed = (checks[0]._replace(status="FAIL", problems=("wrong",)), *checks[1:])
    cells = tuple(
        CellResult(f"target-{n}", parse(f"linux/{p}"), "sha256:1", checks if n % 9 else failed, 3.0)
        for n in range(50)
        for p in platforms
    )
    began = time.monotonic()
    shown = show(Report("2026-11-25T02:37:44+00:00", 400.0, cells, {}))
    loaded = time.monotonic()
    button(shown, "target-9@linux/386").click()
    shown.keyboard.press("Escape")
    shown.locator("[id='ui.failed']").press("Space")
    assert shown.locator("tbody tr:visible").count() == 6
    used = time.monotonic()
    SAID.append(f"page of 400 cells: {loaded - began:.1f} s to load, {used - loaded:.1f} s to use")
    assert used - loaded < 10  # about 1 on a machine that does nothing else
    for across in (1300, 1000, 390):
        shown.set_viewport_size({"width": across, "height": 800})
        assert width(shown) <= across


@pytest.mark.parametrize(("name", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_the_docs_show_it(show: Shown, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    """With UPDATE_SCREENSHOTS=1 the pictures in docs are made anew."""
    documented = IMAGES / f"verify-{name}.png"
    path = documented if os.environ.get("UPDATE_SCREENSHOTS") == "1" else tmp_path / "shot.png"
    show(report(), size, device_scale_factor=2, color_scheme="light").screenshot(path=path)
    assert dimensions(path) == dimensions(documented) == (2 * size[0], 2 * size[1])
    # An empty page is a tenth of this.
    assert path.stat().st_size > 50_000


def dimensions(path: Path) -> tuple[int, int]:
    """Width and height, from a PNG's header (RFC 2083, 4.1.1)."""
    across, down = struct.unpack(">II", path.read_bytes()[16:24])
    return across, down
