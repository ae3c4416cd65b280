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
    from pathlib import Path

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
    """Append one entry for each mapping, all under the same event and time."""
    prepare(root)
    at = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    with locked(root / FOLDER / "ledger.lock"):
        whole = [*read(root), *({"event": event, "at": at, **entry} for entry in entries)]
        write_file(root / FOLDER / _FILE, json_text(whole))
