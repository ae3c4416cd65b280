"""An image's files in, as the walk shows them; a folder with them, out.

Links are made last: until then nothing in the folder leads out of it, whatever the image holds.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from buildx_tasks.errors import EngineError
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.walk import ENGINE_PATHS

if TYPE_CHECKING:
    from collections.abc import Collection

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.verification.visiting import Reader


class Unpacking:
    """Writes what is shown to it below a folder, with permissions, without owners and devices."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, entry: Entry) -> Reader | None:
        """As a Visitor: every file is written."""
        place = self._place(entry.path)
        if place is None:
            return None
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # A second file of one name takes the first one's place, and never goes through it.
            place.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            stream = os.fdopen(os.open(place, flags, entry.mode & 0o777 | 0o600), "wb")
        except OSError as error:
            raise _unwritten(place, error) from None
        return _Writing(place, stream)

    def missing(self, tree: Tree) -> Collection[str]:  # noqa: ARG002
        """As a Visitor."""
        return ()

    def found(self, tree: Tree) -> Found:
        """As a Visitor: folders and links are made; what is no file, folder or link is left out."""
        self._remove_what_the_engine_made(tree)
        links = []
        for entry in tree:
            place = self._place(entry.path)
            if place is None:
                continue
            try:
                if entry.kind == "directory":
                    place.mkdir(parents=True, exist_ok=True)
                elif entry.kind == "symlink":
                    links.append((entry, place))
                elif entry.kind == "file" and entry.first and entry.first != entry.path:
                    self._link(entry.first, place)
            except OSError as error:
                raise _unwritten(place, error) from None
        for entry, place in links:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():  # a folder, where an archive says both
                    place.symlink_to(entry.link)
            except OSError as error:
                raise _unwritten(place, error) from None
        return Found()

    def _remove_what_the_engine_made(self, tree: Tree) -> None:
        # The longest first: what a folder holds goes before it.
        for path in sorted(ENGINE_PATHS, key=len, reverse=True):
            place = self._place(path)
            if place is None or tree.at(path) is not None:
                continue
            with suppress(OSError):  # a folder with something of the image in it
                place.rmdir() if place.is_dir() else place.unlink()

    def _link(self, first: str, place: Path) -> None:
        source = self._place(first)
        if source is not None and source.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, place)

    def _place(self, path: str) -> Path | None:
        parts = path.strip("/").split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\0" in path:
            return None
        return Path(self._folder, *parts)


class _Writing:
    """A Reader that writes a file."""

    def __init__(self, place: Path, stream: BinaryIO) -> None:
        self._place = place
        self._stream = stream

    def feed(self, chunk: bytes) -> bool:
        try:
            self._stream.write(chunk)
        except OSError as error:
            self._stream.close()
            raise _unwritten(self._place, error) from None
        return True

    def end(self) -> None:
        try:
            self._stream.close()
        except OSError as error:
            raise _unwritten(self._place, error) from None


def _unwritten(place: Path, error: OSError) -> EngineError:
    return EngineError(f"{place} cannot be written: {error.strerror}; make room, and verify again")
