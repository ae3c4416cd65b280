"""What looks at the files of an image during a walk: who takes a file, and who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.verification.check import Found


class Reader(Protocol):
    """Takes one file's content as it comes."""

    def feed(self, chunk: bytes) -> bool:
        """Take the next 64 KiB (the last ones may be less); say whether it wants more."""

    def end(self) -> None:
        """Take note that the content ended; not called where no more was wanted."""


class Visitor(Protocol):
    """Looks at files during the walk, and says what it found."""

    def take(self, entry: Entry) -> Reader | None:
        """Return what reads this file's content; None where it is of no interest.

        Called once for the content of each regular file; not for its further hard links.
        """

    def missing(self, tree: Tree) -> Collection[str]:
        """Return what it must read still, now that all paths are known (each an entry's ``first``).

        These are taken in a second walk.
        """

    def found(self, tree: Tree) -> Found:
        """Return what it found."""
