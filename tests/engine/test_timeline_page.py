"""The timeline's page in a real browser, without network: seen, and used as a person would."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.recorded import large, small

from buildx_tasks.language import loading
from buildx_tasks.records import comparison, timeline
from buildx_tasks.reports import page, recalled, timeline_page
from buildx_tasks.reports.timeline import Shown as Told
from buildx_tasks.workspace import Workspace

from .conftest import ROOT, SAID
from .sample_report import report
from .test_page import (
    DESKTOP,
    IMAGES,
    PHONE,
    TOO_FAINT,
    Shown,
    browser,
    dimensions,
    expect,
    show,
    width,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["browser", "show"]  # fixtures

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")
RECORD = ROOT / "tests" / "support" / "data" / "20261126-084129-824-348e.jsonl"


def told(build: Any) -> Told:
    slower = small(seconds=90.0)
    return Told(timeline.of(build), timeline.ranking(build), {}, comparison.compared(slower, build))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A real build of the bundled sample: its emulated and its cross way."""
    folder: Path = tmp_path_factory.mktemp("sample")
    (folder / ".buildx").mkdir(mode=0o700)
    (folder / ".buildx" / "builds").mkdir(mode=0o700)
    shutil.copy(RECORD, folder / ".buildx" / "builds")
    shutil.copytree(ROOT / "go-sample", folder / "go-sample")
    shutil.copy(ROOT / "buildx.toml", folder)
    file = folder / "buildx.toml"
    return recalled.recalled(Workspace(file, loading.load(file)))


@pytest.mark.parametrize("script", [True, False])
def test_a_cell_opens_to_its_steps_by_keyboard(show: Shown, sample: Told, script: bool) -> None:
    shown = show(timeline_page.text(sample), java_script_enabled=script)
    rows = shown.locator(".lane > summary")
    expect(rows).to_have_count(6)
    assert "hello-emulated@linux/arm64" in rows.first.inner_text()
    shown.keyboard.press("Tab")
    expect(rows.first).to_be_focused()
    steps = shown.locator(".lane").first.locator(".steps")
    expect(steps).not_to_be_visible()
    shown.keyboard.press("Enter")
    expect(steps).to_be_visible()
    assert "RUN go build -o hello ." in steps.inner_text()
    shown.keyboard.press("Enter")
    expect(steps).not_to_be_visible()
    if script:
        for key, at in (("ArrowDown", 1), ("End", 5), ("ArrowUp", 4), ("Home", 0)):
            shown.keyboard.press(key)
            expect(rows.nth(at)).to_be_focused()
    ranking = shown.locator(".ranking li").first.inner_text()
    assert "lint EmulatedCompile" in ranking
    assert "natively (hello-emulated@linux/amd64)" in ranking


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_stands_out_from_what_is_behind(show: Shown, scheme: str) -> None:
    build = small(steps=tuple(s._replace(error="exit code 1") for s in small().steps))
    shown = show(timeline_page.text(told(build)), color_scheme=scheme)
    for row in shown.locator(".lane > summary").all():
        row.click()
    assert shown.evaluate(TOO_FAINT) == []


def test_fifty_targets_on_four_platforms_are_usable(show: Shown) -> None:
    text = timeline_page.text(told(large(50, PLATFORMS)))
    began = time.monotonic()
    shown = show(text)
    loaded = time.monotonic()
    rows = shown.locator(".lane > summary:visible")
    assert rows.count() == 40
    shown.get_by_text("Show 160 more cells").click()
    assert rows.count() == 200
    rows.nth(120).click()
    expect(shown.locator(".steps:visible")).to_have_count(1)
    for across in (1300, 700, 390, 320):
        shown.set_viewport_size({"width": across, "height": 800})
        assert width(shown) <= across
    used = time.monotonic()
    SAID.append(
        f"timeline of 200 cells ({len(text) / 1e6:.1f} MB): {loaded - began:.1f} s to load, "
        f"{used - loaded:.1f} s to use"
    )
    assert used - loaded < 20  # about 1 on a machine that does nothing else


def test_a_verification_s_page_has_it_too(show: Shown, sample: Told) -> None:
    shown = show(page.text(report(), timeline_page.section(sample)), PHONE)
    assert width(shown) <= PHONE[0]
    shown.locator(".lane > summary").first.click()
    assert width(shown) <= PHONE[0]
    expect(shown.locator(".steps:visible")).to_have_count(1)
    assert shown.locator("button.cell:visible").count() == 18


@pytest.mark.parametrize(("name", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_the_docs_show_it(
    show: Shown, sample: Told, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    """With UPDATE_SCREENSHOTS=1 the pictures in docs are made anew."""
    documented = IMAGES / f"timeline-{name}.png"
    path = documented if os.environ.get("UPDATE_SCREENSHOTS") == "1" else tmp_path / "shot.png"
    shown = show(timeline_page.text(sample), size, device_scale_factor=2, color_scheme="light")
    shown.screenshot(path=path)
    assert dimensions(path) == dimensions(documented) == (2 * size[0], 2 * size[1])
    assert path.stat().st_size > 50_000
