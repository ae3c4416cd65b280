"""The ledger's entries in; its table, JSON or release notes out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import PushError, UsageError
from buildx_tasks.records import release_notes, table
from buildx_tasks.reports.tables import print_table
from buildx_tasks.text import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.planning.selection import Plan

    Entries = Sequence[dict[str, Any]]


class How(NamedTuple):
    """How a log is shown: ``most`` rows (None: all), as a ``kind``.

    ``every`` entry has a row of its own; ``full`` shortens nothing on a terminal.
    """

    most: int | None = None
    kind: str = "table"
    every: bool = False
    full: bool = False


def require_number(number: int) -> None:
    """Refuse what is no number of rows.

    Raises:
        UsageError: it is below 0.

    """
    if number < 0:
        raise UsageError(f"--number: {number} is no number of rows; write 1 or more, or 0 for all")


def print_log(
    entries: Entries,
    plan: Plan | None,
    events: Sequence[str],
    how: How,
) -> None:
    """Print what happened, newest first: of the plan's targets, of anything where there is none.

    Raises:
        UsageError: there is no such event.

    """
    most, kind, every, full = how
    targets = [one.name for one in plan.targets] if plan else None
    chosen = table.chosen(entries, targets, events)
    if kind == "json":
        print(json_text(chosen[:most]), end="")
        return
    rows = table.rows(chosen, every=every)
    if not rows:
        print("nothing recorded")
        return
    print_table(table.HEADINGS, rows[:most], full=full)
    if most and len(rows) > most:
        _say(f"{len(rows) - most} earlier ones are not shown; show all with --number 0")


def notes(entries: Entries, plan: Plan, typed: Sequence[str], version: str = "") -> str:
    """Return the release notes of the last push; say which selected images have none.

    ``typed`` are the targets as a person named them, none for all; ``version`` is that of the tags
    that are meant, ``""`` for whatever was last.

    Raises:
        PushError: nothing of it was pushed yet.

    """
    names = [one.name for one in plan.targets]
    released = release_notes.released(entries, names, strangers=not typed, version=version)
    if not released and version:
        raise PushError(
            f'no tag of version "{version}" was pushed from here, or it was moved since; see invoke log'
        )
    if not released:
        flags = "".join(f" -t {name}" for name in typed)
        if any(
            entry.get("event") == "pushed" and entry.get("target") in names for entry in entries
        ):
            raise PushError(
                "nothing that was pushed is a release: it was built of a tree with changes (-dirty), or "
                f"replaced since; commit them, build and run invoke push{flags}"
            )
        raise PushError(f"nothing that is selected was pushed yet; run invoke push{flags}")
    lacking = [one.name for one in plan.images if one.name not in released]
    if lacking:
        _say(f"not pushed, or replaced since: {', '.join(lacking)}")
    return release_notes.release_notes(tag for tags in released.values() for tag in tags)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
