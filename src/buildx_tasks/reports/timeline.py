"""A build's timeline in; what a person reads of it on a terminal, or a program as JSON, out."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.records import timeline
from buildx_tasks.records.timeline import KINDS
from buildx_tasks.reports import duration, moment, plural, tables
from buildx_tasks.reports.tables import cut
from buildx_tasks.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.records.builds import Build
    from buildx_tasks.records.comparison import Change, Comparison
    from buildx_tasks.records.steps import Step
    from buildx_tasks.records.timeline import Cost, Kind, Lane, Timeline

    Hints = Mapping[tuple[str, int], Sequence[Finding]]

# What a bar is drawn with, which any terminal and log can show.
_DRAWN: dict[Kind, str] = {
    "emulated": "#",
    "native": "=",
    "bases": "-",
    "files": "+",
    "export": ">",
    "bake": " ",
}
_NOTHING = "."
_WIDE = 100  # columns of a log
_LEAST_BAR = 12
_CELLS = 3  # that a change names
_LONGEST = 80  # characters of an instruction
_MOUNT = re.compile(r"--mount=\S+\s*")
_NAME = 0.5  # of the width, for a cell's name at most
WORDS = {
    "again": "done again",
    "slower": "slower",
    "faster": "faster",
    "cached": "cached now",
    "new": "new",
}


class Shown(NamedTuple):
    """A build as it is shown: its timeline, its ranking, lint's findings by place, a comparison."""

    timeline: Timeline
    costs: Sequence[Cost]
    hints: Hints
    comparison: Comparison | None = None


def print_timeline(shown: Shown, kind: str, most: int | None) -> None:
    """Print a timeline as a table, or as JSON; ``most`` cells at most."""
    if kind == "json":
        print(json_text(data(shown)), end="", flush=True)
        return
    print("\n".join(lines(shown, tables.width(), most)), flush=True)


def only(shown: Shown, targets: Collection[str]) -> Shown:
    """Return a build with the cells of some targets alone, and what was expensive or changed of them."""

    def is_its(cell: str) -> bool:
        return cell.partition("@")[0] in targets

    lanes = tuple(lane for lane in shown.timeline.lanes if is_its(lane.id))
    costs = [cost for cost in shown.costs if any(map(is_its, cost.step.cells))]
    compared = shown.comparison
    if compared:
        changes = [one for one in compared.changes if any(map(is_its, one.step.cells))]
        compared = compared._replace(changes=tuple(changes))
    return Shown(shown.timeline._replace(lanes=lanes), costs, shown.hints, compared)


def lines(shown: Shown, columns: int | None, most: int | None) -> Iterator[str]:
    """Yield the lines of a timeline, as wide as ``columns`` (None: a log), ``most`` cells at most."""
    width = columns or _WIDE
    for line in (*_head(shown.timeline), ""):
        yield from _wrapped(line, width)
    yield from _lanes(shown.timeline, width, most)
    yield ""
    for line in where_it_went(shown.timeline):
        yield from _wrapped(line, width)
    if shown.costs:
        yield ""
        yield "the most expensive steps"
        for number, (cost, fixes) in enumerate(mended(shown), start=1):
            yield from _wrapped(
                f"{number:>2}  {printable(verdict(cost, shown.hints))}", width, "    "
            )
            for line in (named(cost.step), *fixes):
                yield from _wrapped(f"    {printable(line)}", width, "    ")
    if shown.comparison:
        yield ""
        for line in compared(shown.comparison):
            yield from _wrapped(printable(line), width, "      " if line.startswith(" ") else "")


def _wrapped(line: str, width: int, indent: str = "") -> Iterator[str]:
    yield from textwrap.wrap(
        line, max(20, width), subsequent_indent=indent, break_on_hyphens=False
    ) or [""]


def _head(whole: Timeline) -> Iterator[str]:
    build = whole.build
    versions = ", ".join(f"{name} {text}" for name, text in versions_of(build).items())
    said = f"build {build.id}: {build.outcome}{_after(build, whole.seconds)}, {moment(build.at)}"
    yield printable(f"{said}, {plural(len(build.cells), 'cell')}")
    if versions:
        yield printable(versions)
    if build.is_cut:
        yield "its record had no room for more steps: what is missing here is not known"


def versions_of(build: Build) -> dict[str, str]:
    """Return the versions that a build was made with, as people call what they are of."""
    words = {"engine": "Docker Engine", "buildkit": "BuildKit"}
    return {words.get(k, k): v for k, v in build.versions.items() if v and k != "plugin"}


def _after(build: Build, seconds: float) -> str:
    if build.seconds is None:
        return f", {duration(seconds)} of it are known"
    return f" in {duration(seconds)}"


def _lanes(whole: Timeline, width: int, most: int | None) -> Iterator[str]:
    if not whole.lanes:
        yield "it has no such cells" if whole.build.cells else "it has no cells"
        return
    shown = sorted(whole.lanes, key=lambda lane: -lane.busy)[:most]
    names = [printable(lane.id) for lane in shown]
    behind = [_behind(lane) for lane in shown]
    beside = max(map(len, behind))
    room = max(_LEAST_BAR, width - beside - 3)
    label = min(max(map(len, names)), int(room * _NAME))
    bar = max(_LEAST_BAR, room - label - 1)
    for lane, name, text in zip(shown, names, behind):
        drawn = "".join(
            _DRAWN[k] if k else _NOTHING for k in timeline.cut(lane, bar, whole.seconds)
        )
        yield f"{cut(name, label):<{label}} |{drawn}| {text:>{beside}}"
    if len(whole.lanes) > len(shown):
        more = plural(len(whole.lanes) - len(shown), "cell")
        yield f"{more} that took less are not shown; show all with --number 0"
    used = {bar.kind for lane in shown for bar in lane.bars}
    legend = "  ".join(f"{_DRAWN[kind]} {words}" for kind, words in KINDS.items() if kind in used)
    yield from _wrapped(f"{legend}  {_NOTHING} nothing", width)


def _behind(lane: Lane) -> str:
    if not lane.bars and lane.cached:
        return "cached"
    if not lane.bars:
        return "nothing done"
    failed = " failed" if lane.is_failed else ""
    return f"{duration(lane.busy)}{failed}"


def where_it_went(whole: Timeline) -> Iterator[str]:
    """Yield where the time of the whole build went, and how much of it was under emulation."""
    if not whole.seconds:
        return
    parts = [
        f"{duration(seconds)} {KINDS[kind]}"
        for kind, seconds in whole.went.items()
        if seconds >= 0.05
    ]
    if whole.other >= 0.05:
        parts.append(f"{duration(whole.other)} nothing that was recorded")
    yield f"where {duration(whole.seconds)} went: {', '.join(parts) or 'nothing was done'}"
    yield f"under emulation: {whole.share:.0%} of the time"


def verdict(cost: Cost, hints: Hints) -> str:
    """Return what a step cost: ``74 s under emulation, 9.1 s natively (app@linux/amd64): lint …``."""
    ended = "" if cost.step.ended is not None else ", not ended"
    elsewhere = f", {duration(cost.native)} natively ({cost.native_cell})" if cost.native else ""
    codes = ", ".join(one.code for one in findings_of(cost, hints))
    lint = f": lint {codes}" if codes else ""
    return f"{duration(cost.seconds)} {KINDS[cost.kind]}{ended}{elsewhere}{lint}"


def named(step: Step) -> str:
    """Return a step with its cells: ``app@linux/arm64 RUN go build . (Dockerfile:7)``."""
    cells = step.cells[0] if step.cells else "of no cell"
    if len(step.cells) > 1:
        cells = f"{cells} and {len(step.cells) - 1} more"
    place = f" ({step.dockerfile}:{step.line})" if step.line else ""
    return f"{cells} {instruction(step)}{place}"


def instruction(step: Step) -> str:
    """Return an instruction in one short line, without what is mounted."""
    text = tables.shortened(" ".join(_MOUNT.sub("", step.name).split()))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def findings_of(cost: Cost, hints: Hints) -> list[Finding]:
    """Return lint's findings about a step's line that are of its cells, each code once."""
    step = cost.step
    found = {}
    for one in hints.get((step.dockerfile, step.line), ()) if step.line else ():
        is_its = one.platform is None or any(
            cell == f"{one.target}@{one.platform}" for cell in step.cells
        )
        if is_its and one.target in {cell.partition("@")[0] for cell in step.cells}:
            found[one.code] = one
    return list(found.values())


def mended(shown: Shown) -> Iterator[tuple[Cost, list[str]]]:
    """Yield the expensive steps, with what lint says to do about each and not about an earlier one."""
    told: set[str] = set()
    for cost in shown.costs:
        its = [f"{o.code}: {o.fix}" for o in findings_of(cost, shown.hints) if o.fix]
        yield cost, [one for one in its if one not in told]
        told.update(its)


def compared(comparison: Comparison) -> Iterator[str]:
    """Yield what changed against another build."""
    before, sooner = comparison.before, comparison.seconds
    word = "longer" if sooner > 0 else "shorter"
    took = f"{duration(abs(sooner))} {word}" if abs(sooner) >= 0.05 else "as long"
    seconds = duration(timeline.seconds_of(before))
    yield f"against build {before.id} ({before.outcome}, {seconds}): {took}"
    if not comparison.shared:
        yield "  it had none of these cells: there is nothing to compare"
    elif not comparison.changes:
        yield "  no step took longer, or was done again"
    alike: dict[tuple[str, str, str], list[Change]] = {}
    for change in comparison.changes:
        alike.setdefault((change.word, instruction(change.step), change.why), []).append(change)
    for members in alike.values():
        yield from _changes(members)


def _changes(members: Sequence[Change]) -> Iterator[str]:
    """Yield what changed in the same way for some cells: with the times of that with most of them."""
    first = members[0]
    cells = list(dict.fromkeys(cell for one in members for cell in one.step.cells))
    more = f" and {len(cells) - _CELLS} more" if len(cells) > _CELLS else ""
    text = f"{', '.join(cells[:_CELLS])}{more} {instruction(first.step)}"
    most = "up to " if len(members) > 1 else ""
    yield f"  {WORDS[first.word]}: {text}: {most}{_times(first)}"
    if first.why:
        yield f"      why: {first.why}"


def _times(change: Change) -> str:
    if change.word in ("again", "new"):
        return duration(change.now)
    return f"{duration(change.before)}, now {duration(change.now)}"


def data(shown: Shown) -> dict[str, Any]:
    """Return all of it as plain data; times are seconds from the build's start."""
    whole = shown.timeline
    build = whole.build
    return {
        "version": 1,
        "id": build.id,
        "at": build.at,
        "outcome": build.outcome,
        "seconds": round(whole.seconds, 3),
        "versions": versions_of(build),
        "emulated_share": round(whole.share, 4),
        "went": {KINDS[kind]: round(seconds, 3) for kind, seconds in whole.went.items()},
        "cells": [_lane_data(lane) for lane in whole.lanes],
        "ranking": [_cost_data(cost, shown.hints) for cost in shown.costs],
        "compared": _comparison_data(shown.comparison) if shown.comparison else None,
    }


def _lane_data(lane: Lane) -> dict[str, Any]:
    return {
        "id": lane.id,
        "emulated": lane.is_emulated,
        "failed": lane.is_failed,
        "busy": round(lane.busy, 3),
        "emulated_seconds": round(lane.emulated, 3),
        "cached": lane.cached,
        "instructions": lane.instructions,
        "steps": [
            {"name": printable(b.step.name), "kind": b.kind, "started": b.started, "ended": b.ended}
            for b in lane.bars
        ],
    }


def _cost_data(cost: Cost, hints: Hints) -> dict[str, Any]:
    step = cost.step
    return {
        "cells": list(step.cells),
        "name": printable(step.name),
        "dockerfile": step.dockerfile,
        "line": step.line,
        "seconds": round(cost.seconds, 3),
        "kind": cost.kind,
        "native_seconds": None if cost.native is None else round(cost.native, 3),
        "native_cell": cost.native_cell,
        "lint": [one.code for one in findings_of(cost, hints)],
    }


def _comparison_data(comparison: Comparison) -> dict[str, Any]:
    return {
        "with": comparison.before.id,
        "seconds": round(comparison.seconds, 3),
        "changes": [
            {
                "what": one.word,
                "cells": list(one.step.cells),
                "name": printable(one.step.name),
                "before": round(one.before, 3),
                "now": round(one.now, 3),
                "why": printable(one.why),
            }
            for one in comparison.changes
        ],
    }
