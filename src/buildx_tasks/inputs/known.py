"""Files in; the hash of each one's content out: read once, and known while the file is the same.

What is known is kept in ``.buildx/files.json``. A file is the same where its size, times, inode and
device are; the time of its last change (ctime) is none that a program can set back.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VERSION = 1
_SETTLED_NS = 2_000_000_000  # a file changed later than this before it was read may change unseen
_PIECE = 1 << 20
_CAPABILITY = "security.capability"
_AT_ONCE = 4
_FEW = 8  # files for which threads are not worth it

Stamp = tuple[int, int, int, int, int]


class _Stored(msgspec.Struct):
    version: int
    files: dict[str, tuple[Stamp, str]]


def stamp_of(facts: os.stat_result) -> Stamp:
    """Return what tells whether a file has changed: size, mtime, ctime (ns), inode, device."""
    return (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)


class KnownFiles:
    """Hashes of files' contents, by path; ``keep`` writes them for the next run."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before = _read(file)
        self._now: dict[str, tuple[Stamp, str]] = {}
        self._is_new = False

    def hashes(self, wanted: Sequence[tuple[str, Stamp]]) -> list[str]:
        """Return the SHA-256 of each file (its absolute path, and its stamp when it was listed).

        Raises:
            OSError: one cannot be read.

        """
        new = []
        for path, stamp in wanted:
            known = self._now.get(path) or self._before.get(path)
            if known and known[0] == stamp:
                self._now[path] = known
            else:
                new.append((path, stamp))
        if len(new) > _FEW:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = list(pool.map(lambda one: _hash(one[0]), new))
        else:
            found = [_hash(path) for path, _ in new]
        fresh = {path: text for (path, _), text in zip(new, found)}
        latest = time.time_ns() - _SETTLED_NS
        for path, stamp in new:
            # Changed again within one tick of the clock, it would look the same.
            if max(stamp[1], stamp[2]) < latest:
                self._now[path] = (stamp, fresh[path])
                self._is_new = True
            else:
                self._now.pop(path, None)
        return [fresh[path] if path in fresh else self._now[path][1] for path, _ in wanted]

    def keep(self) -> None:
        """Write what is known; what was not asked for in this run stays known where it is there."""
        if not self._is_new:
            return
        kept = {path: one for path, one in self._before.items() if os.path.lexists(path)}
        kept.update(self._now)
        with suppress(OSError):  # it only saves time
            write_file(self._file, msgspec.json.encode(_Stored(_VERSION, kept)).decode())
        self._is_new = False


def _read(file: Path) -> dict[str, tuple[Stamp, str]]:
    """Return what an earlier run knew; nothing of what is damaged, or another user's."""
    with suppress(OSError, EngineError, msgspec.DecodeError, UnicodeDecodeError):
        with os.fdopen(open_own(file, os.O_RDONLY), "rb") as stream:
            found = msgspec.json.decode(stream.read(), type=_Stored)
        return found.files if found.version == _VERSION else {}
    return {}


def _hash(path: str) -> str:
    done = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - one of very many
        while piece := stream.read(_PIECE):
            done.update(piece)
    if hasattr(os, "getxattr"):  # BuildKit sends it too; whoever sets it changes ctime
        with suppress(OSError):
            done.update(b"\0" + os.getxattr(path, _CAPABILITY))
    return done.hexdigest()
