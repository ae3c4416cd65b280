"""A path or glob in; what of an image is at it, or near to it, out. It has no content."""

from __future__ import annotations

import functools
import posixpath
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["file", "directory", "symlink", "character device", "block device", "pipe"]

_MOST_LINKS = 40  # the kernel's own limit: man 7 path_resolution
_MOST_COMPARED = 100  # paths whose likeness is computed, which is slow
_GLOB_MARKS = re.compile(r"[*?\[]")
_GLOB_PARTS = re.compile(r"(?<=/)\*\*/|\*\*|\*|\?|\[[!^]?(?:\][^\]/]*|[^\]/]+)\]")
_SPANS = re.compile(r"(.)-(.)|(.)", re.DOTALL)


class Entry(NamedTuple):
    """What is at one path of the image, which begins with ``/`` and leads through no symbolic link.

    ``mode`` is the twelve bits of permissions, ``size`` is in bytes, ``link`` is what a symbolic link
    says. ``first`` is the path that the content was read under: another one for hard links.
    """

    path: str
    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    size: int = 0
    link: str = ""
    first: str = ""


ROOT = Entry("/", "directory", first="/")


class Tree:
    """All paths of an image. Takes about 0.3 kB a path."""

    def __init__(self, entries: dict[str, Entry] | None = None) -> None:
        self._entries = {} if entries is None else entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Put in an entry."""
        self._entries[entry.path] = entry

    def remove(self, path: str) -> None:
        """Take out what is at exactly this path."""
        self._entries.pop(path, None)

    def at(self, path: str) -> Entry | None:
        """Return what is at exactly this path; no link is followed."""
        return self._entries.get(path)

    def find(self, path: str, *, follow: bool = True) -> Entry | None:
        """Return what a program in the container finds at ``path``: links in it are followed.

        ``follow=False`` leaves a link at its very end as it is. None where nothing is there, as for
        a link that leads nowhere, or in a circle.
        """
        todo = path.split("/")[::-1]
        found, links = ROOT, 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                found = self._entries.get(found.path.rpartition("/")[0], ROOT)
                continue
            if found.kind != "directory":
                return None
            here = self._entries.get(f"{found.path.rstrip('/')}/{part}")
            if here is None:
                return None
            if here.kind != "symlink" or not (any(todo) or follow):
                found = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            todo += here.link.split("/")[::-1]
            if here.link.startswith("/"):
                found = ROOT
        return found

    def select(self, pattern: str) -> list[Entry]:
        """Return what a path or glob means; links at the very end are not followed.

        The folders before the first mark of a glob may be links, as in ``/lib64/*.so``.
        """
        pattern = absolute(pattern)
        if not is_glob(pattern):
            found = self.find(pattern, follow=False)
            return [] if found is None else [found]
        folder, rest = _split(pattern)
        real = self.find(folder)
        if real is None:
            return []
        # The folder's own name may have marks in it.
        expression = re.compile(re.escape(real.path.rstrip("/")) + _translated(rest), re.DOTALL)
        return [entry for entry in self if expression.fullmatch(entry.path)]

    def near(self, pattern: str) -> str:
        """Return a hint to what is near to a path or glob that nothing is at, as ``; it is …``."""
        pattern = absolute(pattern)
        folder, name = _split(pattern) if is_glob(pattern) else (pattern, "")
        below = "" if name else folder.rpartition("/")[2]
        above = self.find(folder)
        while above is None:
            folder, _, below = folder.rpartition("/")
            above = self.find(folder)
        start = f"{above.path.rstrip('/')}/"
        beside = {
            entry.path[len(start) :]: entry.path
            for entry in self
            if entry.path.startswith(start) and "/" not in entry.path[len(start) :]
        }
        if close := get_close_matches(below, beside, n=1, cutoff=0.6):
            return f"; did you mean {printable(beside[close[0]])}?"
        last = f"/{pattern.rpartition('/')[2]}"
        elsewhere = [entry.path for entry in self if entry.path.endswith(last)][:_MOST_COMPARED]
        if close := get_close_matches(pattern, elsewhere, n=1, cutoff=0):
            return f"; did you mean {printable(close[0])}?"
        if above.kind != "directory":
            return f"; {printable(above.path)} is there, and is a {above.kind}"
        held = ", ".join(sorted(map(printable, beside))[:8]) + (", …" if len(beside) > 8 else "")
        return f"; {printable(above.path)} is there and holds {held or 'nothing'}"


def rooted(name: str) -> str:
    """Return the path from the root of what an archive names; ``..`` leads no further up than that."""
    return posixpath.normpath(f"/{name.lstrip('/')}")


def absolute(pattern: str) -> str:
    """Return a path or glob with one ``/`` before it, none behind it, and none doubled."""
    return "/" + re.sub("/+", "/", pattern).strip("/")


def is_glob(pattern: str) -> bool:
    """Say whether a path has marks of a glob in it."""
    return _GLOB_MARKS.search(pattern) is not None


def matches(pattern: str, path: str) -> bool:
    """Say whether a glob matches a path; a pattern without marks is itself.

    ``*`` and ``?`` stand for what is within one folder, ``[a-z]`` and ``[!a-z]`` for one character;
    ``**`` crosses folders, and ``**/`` stands for no folder too. A name's leading dot is no mark.
    """
    return _compiled(pattern).fullmatch(path) is not None


def is_in(path: str, globs: Iterable[str]) -> bool:
    """Say whether one of the patterns matches a path."""
    return any(matches(glob, path) for glob in globs)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_translated(absolute(pattern)), re.DOTALL)


def _translated(glob: str) -> str:
    expression, end = "", 0
    for mark in _GLOB_PARTS.finditer(glob):
        expression += re.escape(glob[end : mark.start()]) + _expression(mark[0])
        end = mark.end()
    return expression + re.escape(glob[end:])


def _expression(mark: str) -> str:
    if mark.startswith("["):
        inner = mark[1:-1]
        negated = inner[:1] in ("!", "^") and len(inner) > 1
        spans = [
            f"{re.escape(low)}-{re.escape(high)}" if high else re.escape(one)
            for low, high, one in _SPANS.findall(inner[negated:])
            if low <= high
        ]
        one_of = f"[{''.join(spans)}]" if spans else "(?!)"  # nothing is between z and a
        return f"(?!{one_of})[^/]" if negated else f"(?!/){one_of}"
    return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[mark]


def _split(glob: str) -> tuple[str, str]:
    """Split a glob into the folders before its first mark, and the rest with its ``/``."""
    first = _GLOB_MARKS.search(glob)
    at = glob.rindex("/", 0, first.start() if first else None)
    return glob[:at], glob[at:]
