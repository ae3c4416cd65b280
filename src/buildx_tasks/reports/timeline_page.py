"""A build's timeline in; HTML of it out: a page of its own, and the section that verify's page has.

Each cell is a row that opens to its steps, without a script too; ``page.js`` adds the arrow keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.records import builds
from buildx_tasks.records.timeline import KINDS
from buildx_tasks.reports import Outcome, duration, moment, page, plural
from buildx_tasks.reports import timeline as words
from buildx_tasks.reports.elements import Child, el, symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree import ElementTree as ET

    from buildx_tasks.records.comparison import Comparison
    from buildx_tasks.records.timeline import Bar, Lane, Timeline
    from buildx_tasks.reports.timeline import Shown

_FIRST = 40  # cells that are listed at once; one click away are all
_SCALE = 1000  # units of a drawing's width
_TICKS = 4
_HEIGHT = 10
_THIN = ("bases", "files", "export")
_OUTCOMES: dict[str, Outcome] = {builds.BUILT: "ok", builds.FAILED: "FAIL"}
_NARROW = 720  # pixels; in a narrower window a row's drawing stands below its name


def text(shown: Shown) -> str:
    """Return the whole page."""
    whole = shown.timeline
    title = f"build: {whole.build.outcome} in {duration(whole.seconds)}"
    parts = {"summary": _summary(whole), "timeline": section(shown)}
    return page.filled(title, _NARROW, **{name: page.html(one) for name, one in parts.items()})


def section(shown: Shown) -> ET.Element:
    """Return the timeline by cell, where the time went, the most expensive steps, what changed."""
    whole = shown.timeline
    return el(
        "section",
        el("h2", "Where the time went"),
        *_went(whole),
        el("h2", "By cell"),
        el(
            "p",
            "Open a cell to see its steps. ",
            el("span", *_keys(), class_="keys"),
            class_="hint",
        ),
        *_lanes(whole),
        *_ranking(shown),
        *(_compared(shown.comparison) if shown.comparison else ()),
        class_="list timeline",
        aria_label="Timeline of the build",
    )


def _summary(whole: Timeline) -> ET.Element:
    build = whole.build
    verdict = _OUTCOMES.get(build.outcome, "xfail")
    known = "" if build.seconds is not None else " of it are known"
    facts = [f"{name} {version}" for name, version in words.versions_of(build).items()]
    return el(
        "header",
        el("p", "buildx-tasks build", class_="overline"),
        el(
            "h1",
            symbol(verdict),
            f"{build.outcome.capitalize()}: {duration(whole.seconds)}{known}, "
            f"{whole.share:.0%} under emulation",
            class_=f"is-{verdict}",
        ),
        el(
            "p",
            el("time", moment(build.at), datetime=build.at),
            *(
                part
                for fact in (plural(len(build.cells), "cell"), f"id {build.id}", *facts)
                for part in (" · ", el("span", fact))
            ),
            class_="facts",
        ),
    )


def _keys() -> Iterator[Child]:
    for key, does in (("↑ ↓", "move"), ("Enter", "opens")):
        yield el("kbd", key)
        yield f" {does}  "


def _went(whole: Timeline) -> Iterator[ET.Element]:
    left, parts, tiles = 0.0, [], []
    for kind, seconds in whole.went.items():
        width = 100 * seconds / whole.seconds if whole.seconds else 0.0
        parts.append(_rect(left, width, 1, kind))
        left += width
        tiles.append(_tile(kind, f"{duration(seconds)} {KINDS[kind]}"))
    if whole.other >= 0.05:
        tiles.append(_tile("nothing", f"{duration(whole.other)} nothing that was recorded"))
    yield el(
        "svg",
        *parts,
        class_="bar",
        viewBox="0 0 100 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    yield el("ul", *tiles, class_="counts remarks")


def _tile(kind: str, said: str) -> ET.Element:
    sign = el("svg", _rect(0, 12, 12, kind), class_="sign", viewBox="0 0 12 12", aria_hidden="true")
    return el("li", sign, said)


def _rect(x: float, width: float, height: float, kind: str, y: float = 0) -> ET.Element:
    return el(
        "rect",
        x=f"{x:.2f}",
        y=f"{y:g}",
        width=f"{width:.2f}",
        height=f"{height:g}",
        class_=f"kind-{kind}",
    )


def _lanes(whole: Timeline) -> Iterator[ET.Element]:
    ordered = sorted(whole.lanes, key=lambda lane: -lane.busy)
    marks = [duration(whole.seconds * at / _TICKS) if at else "0 s" for at in range(_TICKS + 1)]
    yield el("div", *(el("span", mark) for mark in marks), class_="axis", aria_hidden="true")
    yield el("div", *(_lane(lane, whole.seconds) for lane in ordered[:_FIRST]), class_="lanes")
    if len(ordered) > _FIRST:
        rest = ordered[_FIRST:]
        yield el(
            "details",
            el("summary", f"Show {plural(len(rest), 'more cell')}"),
            el("div", *(_lane(lane, whole.seconds) for lane in rest), class_="lanes"),
        )


def _lane(lane: Lane, seconds: float) -> ET.Element:
    said = duration(lane.busy) if lane.bars else ("cached" if lane.cached else "nothing done")
    share = f", {lane.share:.0%} under emulation" if lane.emulated else ""
    failed = ", failed" if lane.is_failed else ""
    target, _, platform = lane.id.partition("@")
    summary = el(
        "summary",
        el("span", el("b", target), el("span", f"@{platform}", class_="system"), class_="name"),
        _drawing(lane.bars, seconds),
        el("span", f"{said}{share}{failed}", class_="took"),
    )
    return el("details", summary, _steps(lane), class_="lane" + (" is-FAIL" if failed else ""))


def _drawing(bars: Sequence[Bar], seconds: float) -> ET.Element:
    scale = _SCALE / seconds if seconds else 0.0
    rects = []
    for bar in bars:
        thin = bar.kind in _THIN
        # What took no time that shows is still seen.
        width = max(2.0, (bar.ended - bar.started) * scale)
        height, y = (4, 3) if thin else (_HEIGHT, 0)
        rects.append(_rect(min(bar.started * scale, _SCALE - 2), width, height, bar.kind, y))
    return el(
        "svg",
        *rects,
        class_="drawn",
        viewBox=f"0 0 {_SCALE} {_HEIGHT}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _steps(lane: Lane) -> ET.Element:
    rows = [
        el(
            "li",
            el("span", duration(bar.ended - bar.started), class_="took"),
            el("span", f"{KINDS[bar.kind]}, from {duration(bar.started)}", class_="when"),
            el("code", words.instruction(bar.step)),
            el("span", bar.step.error, class_="error") if bar.step.error else None,
        )
        for bar in sorted(lane.bars, key=lambda bar: bar.started)
    ]
    if lane.cached:
        cached = f"{lane.cached} of {plural(lane.instructions, 'instruction')} cached"
        rows.append(el("li", el("span", cached, class_="when")))
    nothing = el("li", el("span", "nothing was done", class_="when"))
    return el("ol", *(rows or [nothing]), class_="steps")


def _ranking(shown: Shown) -> Iterator[ET.Element]:
    if not shown.costs:
        return
    yield el("h2", "The most expensive steps")
    yield el(
        "ol",
        *(
            el(
                "li",
                el("b", words.verdict(cost, shown.hints)),
                el("p", el("code", words.named(cost.step))),
                *(el("p", fix) for fix in fixes),
            )
            for cost, fixes in words.mended(shown)
        ),
        class_="ranking",
    )


def _compared(comparison: Comparison) -> Iterator[ET.Element]:
    first, *rest = words.compared(comparison)
    yield el("h2", "What changed")
    yield el("p", first)
    yield el("ul", *(el("li", line.strip()) for line in rest), class_="remarks")
