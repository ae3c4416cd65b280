"""What was built in; a table or JSON of it on standard output."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

from buildx_tasks.building.results import PUBLISHED
from buildx_tasks.reports.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.building.results import Built
    from buildx_tasks.planning.selection import Plan


def print_built(built: Sequence[Built], *, full: bool = False) -> None:
    """Print a row for each target, and where those wait that no local store holds."""
    if not built:
        return
    rows = [
        (
            item.target,
            ", ".join(map(str, item.platforms)),
            item.digest or ("(by platform)" if item.parts else "(files)"),
            _when(item.since) if item.since else _seconds(item),
        )
        for item in built
    ]
    print_table(("target", "platforms", "index digest", "seconds"), rows, full=full)
    for item in built:
        if item.part:
            part = f"{item.target}: a part only, under {item.part}; its tags keep the whole image"
            print(part, file=sys.stderr, flush=True)
    waiting = [item.staged for item in built if item.staged and not item.since]
    if waiting:
        line = (
            "no local store holds what several nodes built: it waits in the registry, where verify, "
            f"run and push take it from: {', '.join(waiting)}"
        )
        print(line, file=sys.stderr, flush=True)


def _seconds(item: Built) -> str:
    return "" if item.seconds is None else f"{item.seconds:.1f}"


def _when(since: str) -> str:
    """Return since when a target is unchanged: the time of today, or the day."""
    if since == PUBLISHED:
        return "unchanged, as published"
    at = dt.datetime.fromisoformat(since).astimezone()
    is_today = at.date() == dt.datetime.now().astimezone().date()
    return f"unchanged since {at:%H:%M}" if is_today else f"unchanged since {at:%Y-%m-%d}"


def print_json(built: Sequence[Built], plan: Plan) -> None:
    """Print a JSON object by target; ``digest`` is null for files, and where there is one by platform."""
    from buildx_tasks.text import json_text

    tags = {target.name: target.tags for target in plan.targets}
    shown = {
        item.target: {
            "platforms": [str(platform) for platform in item.platforms],
            "tags": [item.part] if item.part else list(tags[item.target]),
            "digest": item.digest or None,
            "seconds": item.seconds,
            "staged": item.staged or None,
            "parts": {str(platform): one for platform, one in item.parts.items()},
        }
        for item in built
    }
    print(json_text(shown), end="")
