"""What happened in; ``.buildx/ledger.json``, which has it oldest first, out.

Each entry is an object with ``event``, ``at`` (UTC, ISO 8601) and what the event is about.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, own_folder, refuse_links, write_file
from buildx_tasks.machine.locks import locked
from buildx_tasks.text import json_text, printable

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ".buildx"
_FILE = "ledger.json"
_LOCK = "ledger.lock"
_VERSIONED = ("version", "format", "schema", "buildx-tasks")  # where a later form would name itself

# What the readers of each event rely on; an entry without it (typed by hand, say) tells them nothing.
_NEEDED: dict[str, dict[str, type]] = {
    "created": {"builder": str, "driver": str},
    "removed": {"builder": str},
    "built": {"target": str, "tags": list},
    "left": {"target": str, "tags": list, "digest": str},
    "pulled": {"reference": str},
    "verified": {"cell": str, "digest": str},
    "failed": {"cell": str, "digest": str},
    "pushed": {"target": str, "digest": str},
}


class Ledger:
    """The ledger of the project in a folder; the file is read again only where it changed."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self._file = self.folder / _FILE
        self._known: tuple[tuple[int, ...], list[dict[str, Any]]] | None = None

    def prepare(self) -> None:
        """Make the folder, which git is told to leave out: it must not make a clean tree dirty.

        Only its owner can look into it: bake files hold values.

        Raises:
            EngineError: it cannot be written, is another user's, or there is a link in it.

        """
        ignore = self.folder / ".gitignore"
        try:
            own_folder(self.folder)
            refuse_links(self.folder)
            if not ignore.exists():
                write_file(ignore, "*\n")
        except OSError as error:
            raise EngineError(
                f"{self.folder} cannot be written: {error.strerror}; allow it"
            ) from None

    def read(self) -> list[dict[str, Any]]:
        """Return the entries that say all that their event is read for; none where there is no file.

        A damaged one is set aside (``ledger.json.damaged``, ``-2``, ...), not lost and not trusted.

        Raises:
            EngineError: it cannot be read, or not be set aside.

        """
        return [entry for entry in self.whole() if _is_complete(entry)]

    def whole(self) -> list[dict[str, Any]]:
        """Return all entries, whatever they lack but the texts ``event`` and ``at``.

        Raises:
            EngineError: as :meth:`read`.

        """
        if os.path.lexists(self.folder):
            own_folder(self.folder)  # or another's is believed
        stamp = self._stamp()
        if self._known and self._known[0] == stamp:
            return list(self._known[1])
        entries = _load(self._file)
        if entries is None:
            # Only under the lock is it certain that this one is set aside, and not a new one.
            with locked(self.folder / _LOCK):
                return _load_or_set_aside(self._file)
        self._known = stamp, entries
        return list(entries)

    def record(self, event: str, entries: list[dict[str, Any]]) -> None:
        """Append one entry for each mapping, all under the same event and time.

        Raises:
            EngineError: it cannot be written; what it held is still there.

        """
        self.prepare()
        at = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        try:
            with locked(self.folder / _LOCK):
                for left in self.folder.glob(f".{_FILE}.*"):  # by a writer that was killed
                    left.unlink(missing_ok=True)
                before = _load_or_set_aside(self._file)
                added = [{"event": event, "at": at, **entry} for entry in entries]
                write_file(self._file, json_text([*before, *added]))
        except OSError as error:
            raise EngineError(
                f"{self._file} cannot be written: {error.strerror}; make room or allow it, and run "
                "this again"
            ) from None

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._file.lstat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size


def _load(path: Path) -> list[dict[str, Any]] | None:
    """Return all entries; None where the file is damaged: torn, empty, or not of this shape."""
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as stream:
            entries = msgspec.json.decode(stream.read(), type=list[dict[str, Any]])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}; allow it") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse_newer(path)
        return None
    sound = all(isinstance(entry.get(key), str) for entry in entries for key in ("event", "at"))
    return entries if sound else None


def _refuse_newer(path: Path) -> None:
    """Refuse a ledger of a later version; this one's is a list, and says no version."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    known = found if isinstance(found, dict) else {}
    said = next((known[key] for key in _VERSIONED if key in known), None)
    if isinstance(said, (int, str)):
        raise EngineError(
            f"{path} is of a newer version of buildx-tasks (format {printable(str(said))}); install "
            "that (pip install --upgrade buildx-tasks), or move the file away"
        )


def _load_or_set_aside(path: Path) -> list[dict[str, Any]]:
    """Return all entries; a damaged file gets a name that no earlier one has. The lock is held."""
    entries = _load(path)
    if entries is not None:
        return entries
    names = itertools.chain(
        [f"{_FILE}.damaged"], (f"{_FILE}.damaged-{n}" for n in itertools.count(2))
    )
    aside = next(
        path.with_name(name) for name in names if not os.path.lexists(path.with_name(name))
    )
    try:
        path.replace(aside)
    except FileNotFoundError:  # clean takes no lock
        return []
    except OSError as error:
        raise EngineError(
            f"{path} is damaged and cannot be set aside: {error.strerror}; move it away"
        ) from None
    print(
        f"warning: {path} is damaged; set aside as {aside}; what was verified will be verified again",
        file=sys.stderr,
    )
    return []


def _is_complete(entry: dict[str, Any]) -> bool:
    needed = _NEEDED.get(entry["event"], {})
    return all(isinstance(entry.get(key), kind) for key, kind in needed.items())


class Verified:
    """What the ledger knows of verified cells.

    ``passed`` maps a digest and the hash of what was expected of it to when it was as expected;
    ``failed`` holds the ids of cells that were not, when they were last looked at.
    """

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.passed: dict[tuple[str, str], str] = {}
        self.failed: set[str] = set()
        for entry in entries:
            if entry["event"] not in ("verified", "failed") or not _is_complete(entry):
                continue
            key = (entry["digest"], str(entry.get("checks", "")))
            if entry["event"] == "failed":
                self.passed.pop(key, None)
                self.failed.add(entry["cell"])
            elif "checks" in entry:
                self.passed[key] = entry["at"]
                self.failed.discard(entry["cell"])


def last_built(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the entry of each target's last build."""
    return {entry["target"]: entry for entry in entries if entry["event"] == "built"}


def pushed_digests(entries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what was pushed, the last one at the end, by target."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry["event"] == "pushed" and _is_complete(entry):
            found.setdefault(entry["target"], []).append(entry["digest"])
    return found
