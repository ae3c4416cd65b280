"""One HTML page that needs nothing else: the matrix of targets by platforms, each cell opening.

It is built from elements, never from strings, so that all text is escaped; the policy in its head
lets a browser load nothing, and run and style with nothing but what stands in it. Cells open, close
and filter without its script too, which adds the arrow keys and links to single cells.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from buildx_tasks.reports import (
    WORDS,
    Note,
    Outcome,
    counts,
    differences,
    duration,
    headline,
    moment,
    notes,
    outcome,
    platforms,
    plural,
    targets,
)
from buildx_tasks.reports.elements import Child, el, problems, quiet, symbol, where
from buildx_tasks.reports.panel import panel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.verification.results import CellResult, Report

# Failures that are listed at once, and problems of each; one click away are all.
_FIRST_FAILURES, _FIRST_PROBLEMS = 3, 4
# Pixels that the matrix needs at least; in a narrower window its rows become cards.
_NAME_WIDTH, _COLUMN_WIDTH = 216, 116


def text(report: Report, timeline: ET.Element | None = None) -> str:
    """Return the whole page; ``timeline`` is that of the build that the images are of."""
    parts = {
        "summary": _summary(report),
        "failures": _failures(report) if report.failed else None,
        "matrix": _matrix(report),
        "notes": _notes(notes(report)) if notes(report) else None,
        "sizes": _sizes(report) if report.differences else None,
        "timeline": timeline,
    }
    known = {name: html(one) for name, one in parts.items() if one is not None}
    panels = "\n".join(html(panel(result)) for result in report.results)
    narrow = _NAME_WIDTH + _COLUMN_WIDTH * len(platforms(report))
    return filled(f"verify: {headline(report)}", narrow, panels=panels, **known)


def filled(title: str, narrow: int, **parts: str) -> str:
    """Return a whole page of these parts; in a window below ``narrow`` pixels it stands in one column."""
    style = Template(_asset("page.css")).substitute(narrow=narrow)
    script = _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    every = dict.fromkeys(("failures", "matrix", "notes", "sizes", "timeline", "panels"), "")
    shown = escape(title, quote=True)
    return Template(_asset("page.html")).substitute(
        {**every, **parts, "policy": policy, "title": shown, "style": style, "script": script}
    )


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def html(element: ET.Element) -> str:
    """Return an element as HTML."""
    return ET.tostring(element, encoding="unicode", method="html")


# ---------------------------------------------------------------- the top


def _summary(report: Report) -> ET.Element:
    found = counts(report)
    verdict: Outcome = "FAIL" if report.failed else "ok"
    tiles = [
        el("li", symbol(name), el("b", f"{number:,}"), " ", WORDS[name], class_=f"is-{name}")
        for name, number in found.items()
    ]
    tools = [f"{name} {version}" for name, version in report.tools.items()]
    if report.commit:
        tools.insert(0, f"commit {report.commit}")
    return el(
        "header",
        el("p", "buildx-tasks verify", class_="overline"),
        el("h1", symbol(verdict), headline(report).capitalize(), class_=f"is-{verdict}"),
        el(
            "p",
            el("time", moment(report.started), datetime=report.started),
            *(
                part
                for fact in (duration(report.seconds), *tools)
                for part in (" · ", el("span", fact))
            ),
            class_="facts",
        ),
        _bar(found),
        el("ul", *tiles, class_="counts"),
    )


def _bar(found: dict[Outcome, int]) -> ET.Element:
    # Attributes of SVG, since the policy allows no style on elements.
    total, left, parts = sum(found.values()) or 1, 0.0, []
    for name, number in found.items():
        width = 100 * number / total
        parts.append(
            el("rect", x=f"{left:.3f}", width=f"{width:.3f}", height="1", class_=f"is-{name}")
        )
        left += width
    return el(
        "svg",
        *parts,
        class_="bar",
        viewBox="0 0 100 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


# ---------------------------------------------------------------- the matrix


def _matrix(report: Report) -> ET.Element:
    columns = platforms(report)
    found = {(result.target, result.platform): result for result in report.results}
    head = el(
        "tr",
        el("th", "target", scope="col", role="columnheader"),
        *(el("th", *where(c), scope="col", role="columnheader") for c in columns),
        role="row",
    )
    rows = [
        _row(target, [found.get((target, column)) for column in columns])
        for target in targets(report)
    ]
    table = el(
        "table",
        el("caption", quiet("Targets by platforms")),
        el("thead", head, role="rowgroup"),
        el("tbody", *rows, role="rowgroup"),
        role="table",
        id="ui.matrix",
    )
    return el("section", _tools(report), table, class_="matrix", aria_label="Results")


def _tools(report: Report) -> ET.Element:
    hint = el(
        "p",
        "Open a cell to see its checks. ",
        el("span", *_keys(), class_="keys"),
        class_="hint",
    )
    if not report.failed:
        return el("div", hint, class_="tools")
    box = el("input", type="checkbox", id="ui.failed")
    return el(
        "div",
        hint,
        el("output", role="status", id="ui.status"),
        el("label", box, "Only failed", for_="ui.failed", class_="switch"),
        class_="tools",
    )


def _keys() -> Iterator[Child]:
    for key, does in (("↑ ↓ ← →", "move"), ("Enter", "opens"), ("Esc", "closes")):
        yield el("kbd", key)
        yield f" {does}  "


def _row(target: str, results: list[CellResult | None]) -> ET.Element:
    name = el("th", target, scope="row", role="rowheader")
    failed = any(result and result.status == "FAIL" for result in results)
    return el(
        "tr",
        name,
        *map(_cell, results),
        role="row",
        class_="has-failed" if failed else "",
    )


def _cell(result: CellResult | None) -> ET.Element:
    if result is None:
        return el("td", quiet("not declared"), class_="none", role="cell")
    state = outcome(result)
    button = el(
        "button",
        symbol(state),
        quiet(f"{result.target} "),
        el("span", *where(result.platform), " ", class_="where"),
        el("span", WORDS[state], class_="word"),
        " ",
        el("span", _note(result), class_="note"),
        type="button",
        class_=f"cell is-{state}",
        popovertarget=result.id,
        aria_haspopup="dialog",
    )
    return el("td", button, role="cell", class_="" if result.platform else "whole-image")


def _note(result: CellResult) -> str:
    if result.status == "FAIL":
        return plural(len(result.problems), "problem")
    if result.since:
        return "unchanged"
    if result.status == "skip":
        return plural(len(result.checks), "check")
    return duration(result.seconds) if result.checks else ""


# ---------------------------------------------------------------- the lists around it


def _failures(report: Report) -> ET.Element:
    items = [
        el("li", _opener(result), problems(result.problems, _FIRST_PROBLEMS))
        for result in report.failed
    ]
    first, more = items[:_FIRST_FAILURES], items[_FIRST_FAILURES:]
    return el(
        "section",
        el("h2", "What failed"),
        el("ul", *first),
        el("details", el("summary", f"Show {len(more)} more"), el("ul", *more)) if more else None,
        class_="list",
    )


def _notes(listed: Iterable[Note]) -> ET.Element:
    items = [
        el(
            "li",
            symbol(note.status),
            el("b", f"{WORDS[note.status]}: {', '.join(note.checks)}"),
            el("p", note.reason),
            el("p", ", ".join(note.ids), class_="ids"),
            class_="reasoned",
        )
        for note in listed
    ]
    title = el("h2", "Known failures and skipped checks")
    return el("section", title, el("ul", *items), class_="list")


def _sizes(report: Report) -> ET.Element:
    head = el("tr", *(el("th", name, scope="col") for name in differences.HEADINGS))
    rows = [
        el("tr", el("th", name, scope="row"), *(el("td", text) for text in texts))
        for name, *texts in map(differences.row, report.differences)
    ]
    table = el("table", el("thead", head), el("tbody", *rows), class_="figures")
    # It scrolls where it is wider than the window, so the keyboard must reach it.
    scrolled = el("div", table, class_="scrolled", tabindex="0", role="region", aria_label="Sizes")
    below = [el("li", line) for line in differences.lines(report.differences)]
    tags = [
        el("li", f"{name}: ", el("code", ", ".join(listed))) for name, listed in report.tags.items()
    ]
    return el(
        "section",
        el("h2", "Sizes, compressed"),
        scrolled,
        el("ul", *below, class_="remarks"),
        el("h2", "Tags") if tags else None,
        el("ul", *tags, class_="remarks") if tags else None,
        class_="list",
    )


def _opener(result: CellResult) -> ET.Element:
    return el(
        "button",
        symbol(outcome(result)),
        result.id,
        type="button",
        class_="opener",
        popovertarget=result.id,
        aria_haspopup="dialog",
    )
