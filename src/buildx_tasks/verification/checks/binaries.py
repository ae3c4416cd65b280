"""``binaries``: each ELF file of the image is the platform's, and finds its interpreter there.

Nothing is run, so no emulator is needed.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError
from buildx_tasks.images import elf
from buildx_tasks.images.paths import absolute, is_glob, is_in
from buildx_tasks.machine import executables
from buildx_tasks.machine.files import writing
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.windows_binaries import WindowsVisitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.images.merged import Files
    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.language.expectations import Binaries
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Subject

_IN_MEMORY = 1_000_000  # bytes of an ELF file; larger ones are read from a file
_SPOOLED = "the folder for temporary files (TMPDIR)"
_MOST_NAMED = 10  # wrong files; the rest is counted
_MOST_LIBRARIES = 5  # that are named as facts


def visitor(subject: Subject, spec: Binaries) -> BinariesVisitor | WindowsVisitor:
    """Return what looks at the subject's programs during a walk: ELF files, of Windows its own."""
    if subject.platform.os == "windows":
        return WindowsVisitor(subject.platform, spec)
    return BinariesVisitor(subject.platform, spec)


def of_files(
    files: Tree, read: Mapping[str, elf.Elf | elf.DamagedError], platform: Platform, spec: Binaries
) -> Found:
    """Return what :func:`visitor` finds in files of which each ELF file was read before.

    ``read`` is by the ``first`` of an entry.
    """
    known = BinariesVisitor(platform, spec)
    known.know(read)
    return known.found(files)


def foreign(files: Files, platform: Platform, spec: Binaries) -> Iterator[tuple[str, str]]:
    """Yield the ELF files that ``spec`` means and are not the platform's, each with what it is for."""
    seen = set()
    for _, entry in BinariesVisitor(platform, spec).meant(files.tree):
        architecture = files.architectures.get(entry.first, "")
        if architecture not in ("", platform.architecture) and entry.first not in seen:
            seen.add(entry.first)
            yield entry.path, architecture


class BinariesVisitor:
    """Reads the ELF files that ``spec`` means, and compares them with the platform."""

    def __init__(self, platform: Platform, spec: Binaries) -> None:
        self._platform = platform
        self._spec = spec
        self._patterns = spec.paths or ["/**"]
        # By the path that the content was read under; None: it is no ELF file.
        self._read: dict[str, elf.Elf | elf.DamagedError | None] = {}
        self._late: set[str] = set()

    def know(self, read: Mapping[str, elf.Elf | elf.DamagedError]) -> None:
        """Take files as read."""
        self._read.update(read)

    def take(self, entry: Entry) -> _ElfReader | None:
        """Return what reads the file, where it is one of those that are meant."""
        paths = self._spec.paths
        if entry.first not in self._late and (
            (paths and not is_in(entry.path, paths)) or self._is_allowed(entry)
        ):
            return None
        self._read[entry.first] = None
        return _ElfReader(self._read, entry.first)

    def missing(self, tree: Tree) -> set[str]:
        """Return what is meant, and was not read: known by a link's name, or by another name."""
        self._late = {e.first for _, e in self.meant(tree) if e.first not in self._read}
        return self._late

    def found(self, tree: Tree) -> Found:
        """Compare all files that were read with the platform."""
        by_pattern: dict[str, dict[str, Entry]] = {}
        for pattern, entry in self.meant(tree):
            by_pattern.setdefault(pattern, {})[entry.first] = entry
        problems = []
        elves: dict[str, Entry] = {}
        for pattern in self._patterns:
            selected = by_pattern.get(pattern, {})
            of_it = {first: entry for first, entry in selected.items() if self._read.get(first)}
            elves.update(of_it)
            if not of_it:
                problems.append(self._nothing(pattern, len(selected), tree))
        found = [(e.path, read) for first, e in elves.items() if (read := self._read[first])]
        wrong = [problem for path, read in found if (problem := self.wrong(path, read, tree))]
        if len(wrong) > _MOST_NAMED:
            more = f"{len(wrong) - _MOST_NAMED} more are wrong, of {len(found)} ELF files"
            wrong[_MOST_NAMED:] = [f"{more}; for those that are foreign on purpose there is allow"]
        good = [(path, read) for path, read in found if isinstance(read, elf.Elf)]
        facts = () if wrong or not good else (self._fact([read for _, read in good]),)
        return Found((*problems, *wrong), (*facts, *_libraries_not_there(good, tree)))

    def _is_allowed(self, entry: Entry) -> bool:
        return is_in(entry.path, self._spec.allow)

    def meant(self, tree: Tree) -> Iterator[tuple[str, Entry]]:
        """Give the regular files that each pattern means; links lead to them."""
        allowed = {
            entry.first
            for pattern in self._spec.allow
            for link in tree.select(pattern)
            if (entry := tree.find(link.path)) is not None
        }
        for pattern in self._patterns:
            for selected in tree.select(pattern):
                entry = tree.find(selected.path) if selected.kind == "symlink" else selected
                if entry and entry.kind == "file" and entry.first not in allowed:
                    yield pattern, entry

    def _nothing(self, pattern: str, selected: int, tree: Tree) -> str:
        if not self._spec.paths:
            return "the image has no ELF file; leave binaries out where it is meant to have none"
        name = printable(absolute(pattern))
        if is_glob(pattern) and selected:
            return f"none of the {selected} files that {name} means is an ELF file"
        there = tree.find(pattern)
        if is_glob(pattern) or there is None:
            nothing = "no file matches" if is_glob(pattern) else "nothing is at"
            return f"{nothing} {name}{tree.near(pattern)}"
        if there.kind == "directory":
            return f"{name} is a directory; write {name.rstrip('/')}/** for all files in it"
        return f"{name} is no ELF file"

    def wrong(self, path: str, found: elf.Elf | elf.DamagedError, tree: Tree) -> str:
        """Return what is wrong with one file, ``""`` where nothing is."""
        path = printable(path)
        if isinstance(found, elf.DamagedError):
            return f"{path} is damaged ({printable(str(found))}); build or copy it again"
        if mismatch := _mismatch(found, self._platform, self._spec):
            return f"{path} {mismatch}"
        if self._spec.static and (found.interpreter or found.needed):
            needs = ", ".join(filter(None, (found.interpreter, *found.needed)))
            return (
                f"{path} is not static, it needs {printable(needs)}; "
                f"link it statically (CGO_ENABLED=0 for Go, -static for C)"
            )
        there = tree.find(found.interpreter) if found.interpreter else None
        if found.interpreter and (there is None or there.kind != "file"):
            name = printable(found.interpreter)
            how = f"is a {there.kind}" if there else "is not in the image"
            return (
                f"{path} needs the interpreter {name}, which {how}; "
                f"use a base image that has it, or link it statically (CGO_ENABLED=0, -static)"
            )
        return ""

    def _fact(self, good: Sequence[elf.Elf]) -> str:
        static = sum(not (found.interpreter or found.needed) for found in good)
        said = "static" if static == len(good) else f"{static} static" if static else "dynamic"
        if len(good) == 1:
            return f"1 ELF file, for {self._platform}, {said}"
        return f"{len(good)} ELF files, all for {self._platform}, {said}"


class _ElfReader:
    """Keeps a file's content until it is whole, where it is an ELF file."""

    def __init__(self, results: dict[str, elf.Elf | elf.DamagedError | None], first: str) -> None:
        self._results = results
        self._first = first
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None

    def feed(self, chunk: bytes) -> bool:
        if self._file is None:
            if not chunk.startswith(elf.MAGIC):
                return False
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 end() closes it
        try:
            with writing(_SPOOLED):
                self._file.write(chunk)
        except EngineError:
            with suppress(OSError):  # it tries to write what is left
                self._file.close()
            raise
        return True

    def end(self) -> None:
        if self._file is None:
            return
        with writing(_SPOOLED), self._file as file:
            try:
                self._results[self._first] = elf.read(file)
            except elf.DamagedError as error:
                self._results[self._first] = error


def _mismatch(found: elf.Elf, platform: Platform, spec: Binaries) -> str:
    """Return what of the file is not the platform's, ``""`` where nothing is."""
    architecture = platform.architecture
    expected = executables.header(architecture)
    if expected is None:
        return (
            f"is an ELF file, and {platform} has none; list it in allow if it is meant to be there"
        )
    if found.header != expected:
        return (
            f"is for {_named(found)}, expected {platform}; "
            f"it was compiled or copied for another platform: use TARGETARCH"
        )
    if architecture == "arm":
        return _arm_mismatch(found, platform, spec)
    wrong_abi = {"ppc64le": "ELFv1", "mips": "n32", "mipsle": "n32"}.get(architecture)
    if found.abi and found.abi == wrong_abi:
        right = "ELFv2" if wrong_abi == "ELFv1" else "o32"
        return f"has the ABI {found.abi}, expected {right} for {platform}; compile it for that"
    return ""


def _arm_mismatch(found: elf.Elf, platform: Platform, spec: Binaries) -> str:
    # armel, with soft-float, is what exists for v5, whose CPUs need not have a floating-point unit.
    abi = spec.float_abi or ("soft" if platform.variant == "v5" else "hard")
    if found.float_abi and found.float_abi != abi:
        return (
            f"has the {found.float_abi}-float ABI, expected {abi} for {platform}; compile it "
            f'with -mfloat-abi={abi}, or expect it with float-abi = "{found.float_abi}"'
        )
    most = int(platform.variant[1:] or 7)
    if found.arm_version > most:
        return (
            f"needs ARMv{found.arm_version}, expected ARMv{most} at most for {platform}; "
            f"compile it with GOARM={most} or -march=armv{most}"
        )
    return ""


def _named(found: elf.Elf) -> str:
    architecture = executables.architecture_of(found.header)
    if architecture:
        return f"linux/{architecture} ({found.machine_name})"
    order = "little" if found.header.order == "<" else "big"
    return f"{found.machine_name}, {found.header.bits} bits, {order}-endian"


def _libraries_not_there(good: Sequence[tuple[str, elf.Elf]], tree: Tree) -> Iterator[str]:
    """Give the shared libraries that no path of the image ends with.

    A fact, no problem: musl's loader brings some itself, others are mounted.
    """
    needed = {name.rpartition("/")[2]: path for path, found in good for name in found.needed}
    needed.pop(elf.UNREAD, None)
    if needed:
        for entry in tree:
            needed.pop(entry.path.rpartition("/")[2], None)
    for name in sorted(needed)[:_MOST_LIBRARIES]:
        yield f"{printable(name)}, which {printable(needed[name])} needs, is not in the image"
