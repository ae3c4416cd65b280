"""File tests of container-structure-test: what is at a path, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from buildx_tasks import sizes
from buildx_tasks.images import starting, store
from buildx_tasks.images.paths import absolute, matches
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import output
from buildx_tasks.verification.outside.structure import Content, Existence, Licenses, filled
from buildx_tasks.verification.walk import ENGINE_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.verification.check import Subject

_MOST_READ = 16_000_000  # bytes of a file that is searched: all are in memory
_DOC = "/usr/share/doc"
_ANY_LICENSE = f"{_DOC}/*/copyright"
# What container-structure-test itself knows.
_BANNED = ("AGPL", "WTFPL")
_EXEMPT = frozenset({"libgnutls30"})
_MARKS = {
    "directory": "d",
    "symlink": "L",
    "block device": "D",
    "character device": "Dc",
    "pipe": "p",
}

Spec = Union[Existence, Content, Licenses]


def visitor(subject: Subject, spec: Spec) -> StructureVisitor:
    """Return what looks at the subject's files during a walk."""
    return visitor_in(store.content(subject.engine, subject.image, subject.platform).config, spec)


def visitor_in(config: Mapping[str, Any], spec: Spec) -> StructureVisitor:
    """Return the same; ``config`` is an OCI image config's own ``config``."""
    env = starting.environment_of(config)
    if not isinstance(spec, Licenses):
        return StructureVisitor(spec._replace(path=filled(spec.path, env)))
    return StructureVisitor(spec)


def permissions(entry: Entry) -> str:
    """Return the permissions of a file as Go writes them, as in ``-rw-r--r--``.

    Source: https://pkg.go.dev/io/fs#FileMode.String
    """
    marks = _MARKS.get(entry.kind, "")
    more = ((0o4000, "u"), (0o2000, "g"), (0o1000, "t"))
    # Go has the marks in this order: dalTLDpSugct?
    head, tail = marks.rstrip("c"), "c" if marks.endswith("c") else ""
    head += "".join(mark for bit, mark in more[:2] if entry.mode & bit) + tail
    head += "t" if entry.mode & 0o1000 else ""
    bits = "".join("rwx"[n % 3] if entry.mode & (0o400 >> n) else "-" for n in range(9))
    return (head or "-") + bits


class StructureVisitor:
    """Reads the files whose content one test speaks of."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._texts: dict[str, _Text] = {}

    def take(self, entry: Entry) -> _Text | None:
        """Return what reads the file, where its content is spoken of."""
        if not self._is_meant(entry):
            return None
        text = self._texts[entry.first] = _Text(entry.size)
        return text

    def missing(self, tree: Tree) -> set[str]:
        """Return what was not read: known by a link, or another name."""
        found = [tree.find(path) for path in self._paths(tree)]
        self._late = {one.first for one in found if one and one.kind == "file"} - set(self._texts)
        return self._late

    def found(self, tree: Tree) -> Found:
        """Compare what is there with what is expected."""
        spec = self._spec
        if isinstance(spec, Existence):
            return Found(tuple(_existence(spec, tree)))
        if isinstance(spec, Licenses):
            return Found(tuple(self._licenses(spec, tree)))
        text, problem = self._text(spec.path, tree)
        if problem:
            return Found((problem,))
        name = printable(absolute(spec.path))
        return Found(tuple(f"{name}: {one}" for one in output.unmatched(spec.patterns, text)))

    _late: frozenset[str] | set[str] = frozenset()

    def _is_meant(self, entry: Entry) -> bool:
        spec = self._spec
        if isinstance(spec, Existence):
            return False
        if entry.first in self._late:
            return True
        if isinstance(spec, Content):
            return absolute(spec.path) == entry.path
        return (spec.debian and matches(_ANY_LICENSE, entry.path)) or entry.path in map(
            absolute, spec.files
        )

    def _paths(self, tree: Tree) -> list[str]:
        spec = self._spec
        if isinstance(spec, Content):
            return [spec.path]
        if not isinstance(spec, Licenses):
            return []
        packages = tree.select(f"{_DOC}/*") if spec.debian else []
        return [*spec.files, *(f"{entry.path}/copyright" for entry in packages)]

    def _licenses(self, spec: Licenses, tree: Tree) -> Iterator[str]:
        packages = [
            entry.path
            for entry in (tree.select(f"{_DOC}/*") if spec.debian else ())
            if entry.kind == "directory" and entry.path.rpartition("/")[2] not in _EXEMPT
        ]
        if spec.debian and not packages:
            yield f"{_DOC} has no packages; write debian: false where the image is not Debian's"
        for path in (*(f"{package}/copyright" for package in packages), *spec.files):
            text, problem = self._text(path, tree)
            if problem:
                yield problem
            for word in _BANNED:
                if word in text.upper():
                    yield f"{printable(path)} speaks of {word}, which is not allowed"

    def _text(self, path: str, tree: Tree) -> tuple[str, str]:
        """Return the text at a path, or what is wrong with it."""
        entry = tree.find(path)
        name = printable(absolute(path))
        if entry is None:
            if absolute(path) in ENGINE_PATHS:
                return "", f"{name} is made by the engine, and the image's own is not to be seen"
            return "", f"nothing is at {name}{tree.near(path)}"
        if entry.kind != "file":
            return "", f"{name} is a {entry.kind}, and no file"
        if entry.size > _MOST_READ:
            most = sizes.text(_MOST_READ)
            return (
                "",
                f"{name} has {sizes.text(entry.size)}, and {most} is the most that is searched",
            )
        return self._texts[entry.first].text, ""


class _Text:
    """Keeps one file's content."""

    def __init__(self, size: int) -> None:
        self._holds = size <= _MOST_READ
        self._held: list[bytes] = []

    def feed(self, chunk: bytes) -> bool:
        if self._holds:
            self._held.append(chunk)
        return self._holds

    def end(self) -> None:
        self._held = [b"".join(self._held)]

    @property
    def text(self) -> str:
        return b"".join(self._held).decode("utf-8", "replace")


def _existence(spec: Existence, tree: Tree) -> Iterator[str]:
    path = absolute(spec.path)
    name = printable(path)
    says_more = spec.permissions or spec.executable or (spec.uid, spec.gid) != (-1, -1)
    entry = tree.find(path, follow=False)
    if path in ENGINE_PATHS and (entry is None or path == "/"):
        # The engine makes it in any container: it is there, whatever the image has.
        if not spec.exists:
            yield f"{name} is in every container"
        elif says_more:
            yield f"{name} is made by the engine, and the image's own is not to be seen"
        return
    if entry is None:
        if spec.exists:
            yield f"nothing is at {name}{tree.near(path)}"
        return
    if not spec.exists:
        yield f"{name} is there ({entry.kind}), expected nothing"
        return
    shown = permissions(entry)
    if spec.permissions and shown != spec.permissions:
        yield f"{name} has permissions {shown}, expected {spec.permissions}; chmod it"
    if spec.executable and not entry.mode & spec.executable:
        by = {0o100: "its owner", 0o010: "its group", 0o001: "others", 0o111: "anybody"}
        yield f"{name} has permissions {shown}, expected executable by {by[spec.executable]}"
    for what, wanted, actual in (("user", spec.uid, entry.uid), ("group", spec.gid, entry.gid)):
        if wanted not in (-1, actual):
            yield f"{name} belongs to {what} {actual}, expected {wanted}; chown it"
