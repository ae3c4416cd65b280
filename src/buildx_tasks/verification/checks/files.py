"""``files``: what is at paths of the image, whose it is, and what it holds."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.images.paths import absolute, is_glob, matches
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.walk import ENGINE_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.language.expectations import File
    from buildx_tasks.verification.check import Subject

_MOST_SEARCHED = 16_000_000  # bytes that a regular expression is searched in: all are in memory
_MOST_SHOWN = 80  # characters of a text
_MOST_NAMED = 10  # paths of one glob that are wrong; the rest is counted
_NAMES = ("/etc/passwd", "/etc/group")


def visitor(subject: Subject, spec: Mapping[str, File]) -> FilesVisitor:  # noqa: ARG001 as the others
    """Return what looks at the subject's files during a walk."""
    return FilesVisitor(spec)


class FilesVisitor:
    """Reads the files whose content ``spec`` speaks of, and compares all that it says."""

    def __init__(self, spec: Mapping[str, File]) -> None:
        self._spec = spec
        self._wants_names = any(_has_names(file.owner) for file in spec.values())
        # Both by the path that the content is read under.
        self._wanted: dict[str, list[File]] = {}
        self._named: set[str] = set()
        self._content: dict[str, _Content] = {}

    def take(self, entry: Entry) -> _Content | None:
        """Return what reads the file, where its content is spoken of."""
        wanted = self._wanted.get(entry.first)
        keep = self._wants_names and (entry.path in _NAMES or entry.first in self._named)
        if wanted is None:
            wanted = [
                file
                for pattern, file in self._spec.items()
                if _is_about_content(file) and matches(pattern, entry.path)
            ]
        if not wanted and not keep:
            return None
        content = self._content[entry.first] = _Content(wanted, entry.size, keep=keep)
        return content

    def missing(self, tree: Tree) -> set[str]:
        """Return what was not read, or not for all reasons: known by a link, or another name."""
        for pattern, file in self._spec.items():
            for entry in tree.select(pattern) if _is_about_content(file) else ():
                target = tree.find(entry.path)
                if target and target.kind == "file":
                    self._wanted.setdefault(target.first, []).append(file)
        if self._wants_names:
            found = [tree.find(path) for path in _NAMES]
            self._named = {target.first for target in found if target and target.kind == "file"}
        return {
            first
            for first in self._wanted.keys() | self._named
            if first not in self._content
            or not self._content[first].answers(
                self._wanted.get(first, []), keep=first in self._named
            )
        }

    def found(self, tree: Tree) -> Found:
        """Compare what is there with what is expected."""
        names = [self._names(path, tree) for path in _NAMES]
        problems: list[str] = []
        seen = 0
        for pattern, file in self._spec.items():
            if reason := _no_expression(file.matches):
                problems.append(f"{printable(pattern)}: {reason}")
            selected = tree.select(pattern)
            seen += max(len(selected), 1)
            wrong = list(
                self._wrong(pattern, file, selected, _Look(file, tree, self._content, names))
            )
            if len(wrong) > _MOST_NAMED:
                more = f"{len(wrong) - _MOST_NAMED} more problems"
                wrong[_MOST_NAMED:] = [
                    f"{more} in the {len(selected)} paths of {printable(pattern)}"
                ]
            problems += wrong
        facts = () if problems else (f"{seen} path{'' if seen == 1 else 's'} as expected",)
        return Found(tuple(problems), facts)

    @staticmethod
    def _wrong(pattern: str, file: File, selected: Sequence[Entry], look: _Look) -> Iterator[str]:
        if not selected and absolute(pattern) in ENGINE_PATHS:
            yield _told_by_engine(pattern)
        elif not selected and file.exists:
            nothing = "nothing matches" if is_glob(pattern) else "nothing is at"
            yield f"{nothing} {printable(absolute(pattern))}{look.tree.near(pattern)}"
        for entry in selected:
            if file.exists:
                yield from look.problems(entry, pattern)
            else:
                yield f"{printable(entry.path)} is there ({entry.kind}), expected nothing"

    def _names(self, path: str, tree: Tree) -> dict[str, int]:
        """Return the image's users (groups) by name."""
        target = tree.find(path)
        content = self._content.get(target.first) if target else None
        names: dict[str, int] = {}
        for line in content.text.splitlines() if content else ():
            name, _, number, *_ = [*line.split(":"), "", ""]
            if _is_number(number):
                names.setdefault(name, int(number))  # the first one counts: man 3 getpwnam
        return {"root": 0, **names}


class _Look:
    """One expectation and what is to be known of the image."""

    def __init__(
        self,
        file: File,
        tree: Tree,
        content: Mapping[str, _Content],
        names: Sequence[Mapping[str, int]],
    ) -> None:
        self._file = file
        self.tree = tree
        self._content = content
        self._names = names

    def problems(self, entry: Entry, pattern: str) -> Iterator[str]:
        """Give what is wrong at one path.

        ``type`` and ``link`` are about the path itself; the others are about what it leads to.
        """
        file = self._file
        path = printable(entry.path if is_glob(pattern) else absolute(pattern))
        is_link = entry.kind == "symlink"
        if file.type not in (None, entry.kind):
            yield f"{path} is a {_described(entry)}, expected a {file.type}"
        if file.link is not None and not is_link:
            yield f"{path} is a {entry.kind}, expected a symbolic link to {printable(file.link)}"
        elif file.link is not None and file.link != entry.link:
            yield f"{path} links to {printable(entry.link)}, expected {printable(file.link)}"
        target = self.tree.find(entry.path)
        if target is None:
            if not (file.type == "symlink" or file.link is not None) or self._asks_for_target():
                yield f"{path} links to {printable(entry.link)}, which is not in the image"
            return
        where = f"{path} (a link to {printable(target.path)})" if is_link else path
        yield from self._attributes(target, where)
        if _is_about_content(file):
            yield from self._inside(target, where)

    def _asks_for_target(self) -> bool:
        file = self._file
        said = (file.mode, file.owner, file.size)
        return _is_about_content(file) or any(value is not None for value in said)

    def _attributes(self, target: Entry, where: str) -> Iterator[str]:
        file = self._file
        if file.mode is not None and int(file.mode, 8) != target.mode:
            wanted = f"{int(file.mode, 8):04o}"
            yield (
                f"{where} has mode {target.mode:04o}, expected {wanted}; "
                f"chmod it, or COPY --chmod={wanted}"
            )
        if file.owner is not None:
            yield from self._owner(file.owner, target, where)
        if file.size is None:
            return
        if target.kind != "file":
            yield f"{where} is a {target.kind}, expected a file of {file.size} at most"
        elif target.size > sizes.parse(file.size):
            most = sizes.text(sizes.parse(file.size))
            yield (
                f"{where} has {sizes.text(target.size)} ({target.size:,} bytes), "
                f"expected {most} at most"
            )

    def _owner(self, owner: str, target: Entry, where: str) -> Iterator[str]:
        for name, number, known, source in zip(
            owner.split(":", 1), (target.uid, target.gid), self._names, _NAMES
        ):
            if not name:
                continue
            what = "user" if source == _NAMES[0] else "group"
            wanted = int(name) if _is_number(name) else known.get(name)
            if wanted is None:
                there = ", ".join(map(printable, sorted(known))) or "none"
                yield (
                    f"{where}: expected {what} {printable(name)}, which is not in the image's {source} "
                    f"({there}); write its number"
                )
            elif wanted != number:
                yield (
                    f"{where} belongs to {what} {_with_name(number, known)}, "
                    f"expected {_with_name(wanted, known)}; chown it, or COPY --chown"
                )

    def _inside(self, target: Entry, where: str) -> Iterator[str]:
        if target.kind != "file":
            yield f"{where} is a {target.kind}, which has no content to compare; name a file"
            return
        file, content = self._file, self._content[target.first]
        if file.sha256 is not None and content.sha256 != file.sha256:
            yield f"{where} has sha256 {content.sha256}, expected {file.sha256}"
        for text in file.contains:
            if text not in content.found:
                yield f"{where} does not contain {_quoted(text)}; {content.start()}"
        if file.matches is None:
            return
        if target.size > _MOST_SEARCHED:
            yield (
                f"{where} has {sizes.text(target.size)}, and matches searches files of "
                f"{sizes.text(_MOST_SEARCHED)} at most; use contains or sha256"
            )
        elif file.matches not in content.matching and not _no_expression(file.matches):
            yield f"{where} has no match of {_quoted(file.matches)}; {content.start()}"


class _Content:
    """Reads one file once for all that is said of its content, and keeps the answers only.

    ``text`` is kept where ``keep`` says so.
    """

    def __init__(self, wanted: Sequence[File], size: int, *, keep: bool) -> None:
        self._hash = hashlib.sha256() if any(file.sha256 for file in wanted) else None
        self._texts = {text: text.encode() for file in wanted for text in file.contains}
        self._overlap = max(map(len, self._texts.values()), default=1) - 1
        self._patterns = {file.matches for file in wanted if file.matches is not None}
        self._keep = keep
        self._holds = bool(self._patterns or keep) and size <= _MOST_SEARCHED
        self._held: list[bytes] = []
        self._head = self._tail = b""
        self.sha256 = ""
        self.found: set[str] = set()
        self.matching: set[str] = set()
        self.text = ""

    def answers(self, wanted: Sequence[File], *, keep: bool) -> bool:
        """Say whether it was read for all of these."""
        return (self._keep or not keep) and all(
            (self._hash is not None or not file.sha256)
            and self._texts.keys() >= set(file.contains)
            and (file.matches is None or file.matches in self._patterns)
            for file in wanted
        )

    def feed(self, chunk: bytes) -> bool:
        if self._hash:
            self._hash.update(chunk)
        sought = {text: raw for text, raw in self._texts.items() if text not in self.found}
        if sought:
            window = self._tail + chunk
            self.found.update(text for text, raw in sought.items() if raw in window)
            self._tail = window[-self._overlap :] if self._overlap else b""
        if self._holds:
            self._held.append(chunk)
        self._head = self._head or chunk[:200]
        return True

    def end(self) -> None:
        if self._hash:
            self.sha256 = self._hash.hexdigest()
        if self._holds:
            text = b"".join(self._held).decode("utf-8", "replace")
            self._held = []
            self.matching = {
                pattern
                for pattern in self._patterns
                if not _no_expression(pattern) and re.search(pattern, text, re.MULTILINE)
            }
            self.text = text if self._keep else ""

    def start(self) -> str:
        """Return how the file begins, for a person."""
        line = self._head.decode("utf-8", "replace").partition("\n")[0]
        return f"it begins {_quoted(line)}" if self._head else "it is empty"


def _is_about_content(file: File) -> bool:
    return bool(file.exists and (file.sha256 or file.contains or file.matches))


def _no_expression(pattern: str | None) -> str:
    """Return why this is no regular expression, ``""`` if it is one; a placeholder can spoil it."""
    try:
        re.compile(pattern or "", re.MULTILINE)
    except re.error as error:
        return f"{_quoted(pattern or '')} is no regular expression: {printable(str(error))}; correct it"
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _has_names(owner: str | None) -> bool:
    return any(part and not _is_number(part) for part in (owner or "").split(":"))


def _told_by_engine(pattern: str) -> str:
    return (
        f"{printable(absolute(pattern))} cannot be checked: the engine makes it in every container, "
        f"so the image's own is not to be seen; remove it from files, or look at it in a run"
    )


def _described(entry: Entry) -> str:
    return f"symlink to {printable(entry.link)}" if entry.kind == "symlink" else entry.kind


def _with_name(number: int, known: Mapping[str, int]) -> str:
    name = next((name for name, at in known.items() if at == number), "")
    return f"{printable(name)} ({number})" if name else str(number)


def _quoted(text: str) -> str:
    return (
        f'"{printable(text)}"'
        if len(text) <= _MOST_SHOWN
        else f'"{printable(text[:_MOST_SHOWN])}…"'
    )
