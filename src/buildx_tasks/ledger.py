"""``.buildx/ledger.json``: what was created, built, verified and pushed, oldest first.

Each entry is an object with ``event``, ``at`` (UTC, ISO 8601) and what the event is about.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any

from buildx_tasks.commands import json_text, locked, write_file
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from buildx_tasks.results import CellResult

FOLDER = ".buildx"
_FILE = "ledger.json"


def prepare(root: Path) -> None:
    """Make the folder, which git is told to leave out: it must not make a clean tree dirty.

    Raises:
        EngineError: it cannot be written.

    """
    ignore = root / FOLDER / ".gitignore"
    try:
        if not ignore.exists():
            write_file(ignore, "*\n")
    except OSError as error:
        raise EngineError(
            f"{root / FOLDER} cannot be written: {error.strerror}; allow it"
        ) from None


def read(root: Path) -> list[dict[str, Any]]:
    """Return all entries; none where there is no ledger.

    A damaged ledger is set aside as ``ledger.json.damaged``, not lost and not trusted.
    """
    path = root / FOLDER / _FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        aside = path.with_suffix(".json.damaged")
        path.replace(aside)
        print(f"warning: {path} is damaged; set aside as {aside.name}", file=sys.stderr)
        return []
    return entries


def record(root: Path, event: str, entries: list[dict[str, Any]]) -> None:
    """Append one entry for each mapping, all under the same event and time.

    Raises:
        EngineError: it cannot be written; what it held is still there.

    """
    prepare(root)
    at = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    path = root / FOLDER / _FILE
    try:
        with locked(root / FOLDER / "ledger.lock"):
            whole = [*read(root), *({"event": event, "at": at, **entry} for entry in entries)]
            write_file(path, json_text(whole))
    except OSError as error:
        raise EngineError(
            f"{path} cannot be written: {error.strerror}; make room or allow it, and run this again"
        ) from None


class Verified:
    """What the ledger knows of verified cells.

    ``passed`` maps a digest and the hash of what was expected of it to when it was as expected;
    ``failed`` holds the ids of cells that were not, when they were last looked at.
    """

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.passed: dict[tuple[str, str], str] = {}
        self.failed: set[str] = set()
        for entry in entries:
            if entry["event"] == "verified" and "checks" in entry:
                self.passed[entry["digest"], entry["checks"]] = entry["at"]
                self.failed.discard(entry["cell"])
            elif entry["event"] == "failed":
                self.passed.pop((entry["digest"], entry["checks"]), None)
                self.failed.add(entry["cell"])


def record_verified(root: Path, results: Iterable[CellResult], hashes: Mapping[str, str]) -> None:
    """Record what was looked at now, with the hash of what was expected of each cell.

    A cell whose checks were all skipped is not recorded: nothing of it was looked at. What failed the
    last time and is known to be well is recorded again.

    Raises:
        EngineError: it cannot be written.

    """
    failed = Verified(read(root)).failed
    events = {"ok": "verified", "FAIL": "failed"}
    entries: dict[str, list[dict[str, Any]]] = {"verified": [], "failed": []}
    for result in results:
        event = events.get(result.status)
        if event and result.was_run and (not result.since or result.id in failed):
            entry = {"cell": result.id, "digest": result.digest, "checks": hashes[result.id]}
            entries[event].append(entry)
    for event, listed in entries.items():
        if listed:
            record(root, event, listed)


def last_pushed(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return the digest that was pushed last, by target."""
    return {e["target"]: e["digest"] for e in entries if e["event"] == "pushed"}
