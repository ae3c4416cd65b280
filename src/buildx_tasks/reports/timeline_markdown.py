"""A build's timeline in; Markdown of it for GitHub's summary of a job out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.records import builds
from buildx_tasks.records.timeline import KINDS
from buildx_tasks.reports import duration, plural
from buildx_tasks.reports import timeline as words
from buildx_tasks.reports.markdown import code, plain, table

if TYPE_CHECKING:
    from buildx_tasks.records.timeline import Lane
    from buildx_tasks.reports.timeline import Shown

_MOST_CELLS = 200  # a table of all of bake's 5,000 would be dropped whole
_MOST_STEPS = 5
_HEADINGS = ("cell", "took", "under emulation", "cached")
_SIGNS = {builds.BUILT: "✅", builds.FAILED: "❌"}


def text(shown: Shown) -> str:
    """Return what a build did: a table of its cells, and its most expensive steps."""
    whole = shown.timeline
    build = whole.build
    sign = _SIGNS.get(build.outcome, "⚠️")
    versions = [f"{name} {version}" for name, version in words.versions_of(build).items()]
    went = [f"{duration(s)} {KINDS[kind]}" for kind, s in whole.went.items() if s >= 0.05]
    ordered = sorted(whole.lanes, key=lambda lane: -lane.busy)
    heading = f"## {sign} build: {build.outcome} in {duration(whole.seconds)}"
    parts = [
        f"{heading}, {whole.share:.0%} under emulation",
        "",
        plain(" · ".join([plural(len(build.cells), "cell"), *went, *versions])),
        "",
        *table(_HEADINGS, map(_row, ordered[:_MOST_CELLS]), "took cached"),
    ]
    if len(ordered) > _MOST_CELLS:
        parts += ["", f"and {len(ordered) - _MOST_CELLS:,} more that took less"]
    if shown.costs:
        parts += ["", "### The most expensive steps", ""]
        for cost in shown.costs[:_MOST_STEPS]:
            verdict = plain(words.verdict(cost, shown.hints))
            parts.append(f"1. **{verdict}**: {code(words.named(cost.step))}")
    return "\n".join([*parts, ""])


def _row(lane: Lane) -> tuple[str, ...]:
    share = f"{lane.share:.0%}" if lane.emulated else ""
    failed = " ❌" if lane.is_failed else ""
    cached = f"{lane.cached} of {lane.instructions}"
    return code(lane.id) + failed, duration(lane.busy), share, cached
