"""``binaries`` of an image for Windows: each program and library is the platform's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.images import elf, pe
from buildx_tasks.images.paths import absolute, is_glob, is_in, matches
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.language.expectations import Binaries
    from buildx_tasks.platforms import Platform

_ELF = "is an ELF file, which Windows does not run; copy another one"
_MOST_NAMED = 10  # wrong files; the rest is counted
# Windows brings what runs older programs, and starts machines: these are no mistake of anybody's.
_OF_WINDOWS = "/Windows/**"
_ALSO = {"amd64": {"386"}, "arm64": {"amd64", "386", "arm"}}


class WindowsVisitor:
    """Reads the headers of files that ``spec`` means, and compares them with the platform."""

    def __init__(self, platform: Platform, spec: Binaries) -> None:
        self._platform = platform
        self._spec = spec
        self._patterns = spec.paths or ["/**"]
        self._read: dict[str, pe.Pe | str] = {}  # by path; a text is what is wrong

    def know(self, read: Mapping[str, pe.Pe | elf.Elf | elf.DamagedError | None]) -> None:
        """Take files as read, by their path; what is neither of Windows nor an ELF file is None."""
        for path, one in read.items():
            if one is not None and self._is_meant(path):
                self._read[path] = one if isinstance(one, pe.Pe) else _ELF

    def take(self, entry: Entry) -> _Head | None:
        """Return what reads the file's first bytes, where it is one of those that are meant."""
        return _Head(self._read, entry.first) if self._is_meant(entry.path) else None

    def _is_meant(self, path: str) -> bool:
        if is_in(path, self._spec.allow):
            return False
        return is_in(path, self._patterns)

    def missing(self, tree: Tree) -> set[str]:  # noqa: ARG002 - paths have no other names here
        """Return nothing."""
        return set()

    def found(self, tree: Tree) -> Found:
        """Compare all files that were read with the platform."""
        problems = list(self._unfit())
        own = 0
        for pattern in self._patterns:
            there = [path for path in self._read if matches(pattern, path)]
            if not there:
                problems.append(self._nothing(pattern, tree))
        wrong = []
        for path, read in sorted(self._read.items()):
            problem = self._wrong(path, read)
            wrong += [f"{printable(path)} {problem}"] if problem else []
            own += not problem
        if len(wrong) > _MOST_NAMED:
            more = f"{len(wrong) - _MOST_NAMED} more are wrong, of {len(self._read)} programs"
            wrong[_MOST_NAMED:] = [f"{more}; for those that are foreign on purpose there is allow"]
        number = f"{own} program{'' if own == 1 else 's'} and libraries for {self._platform}"
        facts = () if wrong or problems else (number,)
        return Found((*problems, *wrong), facts)

    def _unfit(self) -> Iterator[str]:
        for name, said in (("static", self._spec.static), ("float-abi", self._spec.float_abi)):
            if said:
                yield f"{name} is of ELF files, which {self._platform} has none of; use only or skip"

    def _nothing(self, pattern: str, tree: Tree) -> str:
        if not self._spec.paths:
            return "the image has no program of Windows; leave binaries out where that is meant"
        name = printable(absolute(pattern))
        if is_glob(pattern):
            return f"no program of Windows matches {name}"
        there = tree.find(pattern)
        return (
            f"{name} is no program of Windows"
            if there
            else f"nothing is at {name}{tree.near(pattern)}"
        )

    def _wrong(self, path: str, read: pe.Pe | str) -> str:
        if isinstance(read, str):
            return read
        architecture = self._platform.architecture
        fits = read.managed or read.kind == "efi" or read.architecture == architecture
        if matches(_OF_WINDOWS, path):
            fits = fits or read.architecture in _ALSO.get(architecture, ())
        if fits:
            return ""
        what = "library" if read.kind == "library" else "program"
        return (
            f"is a {what} for {read.system}/{read.architecture}, expected {self._platform}; it was "
            f"compiled or copied for another platform: use TARGETARCH"
        )


class _Head:
    """Keeps a file's first bytes."""

    def __init__(self, results: dict[str, pe.Pe | str], path: str) -> None:
        self._results = results
        self._path = path
        self._head = b""

    def feed(self, chunk: bytes) -> bool:
        self._head += chunk[: pe.HEAD - len(self._head)]
        if len(self._head) < pe.HEAD:
            return True
        self._judge()
        return False

    def end(self) -> None:
        self._judge()

    def _judge(self) -> None:
        if self._head.startswith(elf.MAGIC):
            self._results[self._path] = _ELF
            return
        try:
            found = pe.read(self._head)
        except pe.DamagedError as error:
            self._results[self._path] = f"is damaged ({error}); build or copy it again"
            return
        if found:
            self._results[self._path] = found
