"""What a cell of the page opens to: its checks, their problems, facts and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.reports import UNCHECKED, WORDS, duration, moment, outcome, plural, tail
from buildx_tasks.reports.elements import el, problems, symbol, where

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

    from buildx_tasks.verification.results import CellResult, CheckResult

_SHOWN = (16, 4_000)  # lines and characters of output that are seen before one asks for all


def panel(result: CellResult) -> ET.Element:
    """Return what a button whose ``popovertarget`` is the result's id opens."""
    state = outcome(result)
    title = f"ui.title.{result.id}"
    kind = "manifest digest" if result.platform else "index digest"
    facts = [(kind, el("code", result.digest) if result.digest else "not in the image")]
    if result.since:
        since = el("time", moment(result.since), datetime=result.since)
        facts.append(("verified", el("span", since, "; unchanged since, so not run again")))
    else:
        facts.append(("took", duration(result.seconds)))
    return el(
        "section",
        el(
            "header",
            symbol(state),
            el(
                "h2",
                el("span", WORDS[state], class_="word"),
                f"{result.target} ",
                el("span", *where(result.platform), class_="at"),
                id=title,
            ),
            el(
                "button",
                "Close",
                type="button",
                class_="close",
                popovertarget=result.id,
                popovertargetaction="hide",
            ),
        ),
        el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in facts)),
        *(_check(check) for check in result.checks),
        None if result.checks else el("p", UNCHECKED, class_="nothing"),
        id=result.id,
        class_=f"panel is-{state}",
        popover="auto",
        role="dialog",
        aria_labelledby=title,
        tabindex="-1",
    )


def _check(check: CheckResult) -> ET.Element:
    took = duration(check.seconds) if check.seconds else ""
    summary = el(
        "summary",
        symbol(check.status),
        el("span", check.name, class_="name"),
        el("span", check.kind, class_="kind") if check.name != check.kind else None,
        el("span", WORDS[check.status], class_="word"),
        el("span", took, class_="took") if took else None,
    )
    reason = f"Known failure: {check.reason}" if check.status == "xfail" else check.reason
    body = [
        el("p", reason, class_="reason") if check.reason else None,
        problems(check.problems) if check.problems else None,
        el("ul", *(el("li", fact) for fact in check.facts), class_="measured")
        if check.facts
        else None,
        *_output("stdout", check.stdout),
        *_output("stderr", check.stderr),
        el("p", "Enter the container: ", el("code", check.enter)) if check.enter else None,
    ]
    if not any(item is not None for item in body):
        body = [el("p", "As expected.", class_="nothing")]
    details = el("details", summary, el("div", *body), class_=f"check is-{check.status}")
    if check.status in {"FAIL", "xfail"}:
        details.set("open", "open")
    return details


def _output(name: str, content: str) -> Iterator[ET.Element]:
    if not content.strip():
        return
    whole = content.rstrip("\n")
    lines = whole.count("\n") + 1
    end = tail(whole, *_SHOWN)
    if end == whole:
        yield el("h3", name)
        yield _pre(name, whole)
        return
    yield el("h3", f"{name}, its end")
    yield _pre(name, end)
    size = plural(lines, "line") if lines > _SHOWN[0] else plural(len(whole), "character")
    yield el(
        "details",
        el("summary", f"Show all of {name}: {size}"),
        _pre(f"all of {name}", whole),
        class_="whole",
    )


def _pre(name: str, content: str) -> ET.Element:
    # HTML swallows a newline that comes first. It scrolls, so the keyboard must reach it.
    return el("pre", f"\n{content}", tabindex="0", role="region", aria_label=name)
