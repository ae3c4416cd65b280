"""One platform of an image in; what anybody may expect of it, and what of that is not so, out."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import sizes
from buildx_tasks.auditing.known import Bundles, is_brought, is_data, is_usual
from buildx_tasks.images import elf, machines, starting
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.paths import is_in
from buildx_tasks.language.expectations import Binaries
from buildx_tasks.machine import executables
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.binaries import BinariesVisitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.auditing.places import Part
    from buildx_tasks.auditing.reading import Layer
    from buildx_tasks.images.contents import Seen
    from buildx_tasks.images.merged import Files
    from buildx_tasks.images.paths import Entry
    from buildx_tasks.images.pe import Pe
    from buildx_tasks.platforms import Platform

_MOST_NAMED = 10  # files that are wrong; the rest is counted
_MOST_NOTED = 5  # names in a note
_SETUID, _SETGID, _RUN = 0o4000, 0o2000, 0o111
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
_WINDOWS = "windows"
_NOT_ELF = frozenset({"js", "wasip1", "darwin", "ios"})  # systems whose programs have another form


class Allowed(NamedTuple):
    """Globs of what is in images on purpose: ``foreign`` files, ``setuid`` programs."""

    foreign: tuple[str, ...] = ()
    setuid: tuple[str, ...] = ()


def content(part: Part, layers: Sequence[Layer], files: Files | None) -> Found:
    """Say whether all of a platform is there, and is what manifest and config say of it."""
    problems = list(part.faults)
    if part.manifest and part.config:
        number, said = len(part.manifest.content.layers), len(part.config.diff_ids)
        if number != said:
            problems.append(f"its manifest has {number} layers, and its config speaks of {said}")
    for one in layers:
        if one.fault:
            problems.append(f"{one.named}: {one.fault}")
        problems += [
            f"{one.named}: {text}" for text in (one.contents.problems if one.contents else ())
        ]
    for entry in files.dangling if files else ():
        problems.append(
            f"{printable(entry.path)} is a hard link to {printable(entry.link)}, which is not there, so "
            "that no engine unpacks it"
        )
    left_out = sum(one.is_left_out for one in layers)
    facts = [] if problems else [_measured(layers)]
    if left_out:
        facts.append(f"{left_out} layers are kept elsewhere (urls), and were not read")
    return Found(tuple(problems), tuple(facts))


def platform(part: Part, files: Files | None) -> Found:
    """Say whether a config is for the platform under which the index lists it."""
    if part.config is None:
        return Found()
    words, wanted = part.config.platform, part.platform
    if not (words.os and words.architecture):
        return Found((f"its config names no platform, and the index says {wanted}",))
    said = platform_of(words)
    facts = [*_made(part.config.created), *_not_there(part, files)]
    if said == wanted:
        problems, more = _of_version(part)
        return Found(tuple(problems), (*facts, *more))
    if said[:2] == wanted[:2] and not words.variant:
        return Found((), (*facts, f"its config leaves out the variant of {wanted}"))
    listed = part.descriptor.platform
    if said[:2] == wanted[:2] and not (listed and listed.variant) and said < wanted:
        return Found((), (*facts, f"the index leaves out the variant of {said}"))
    return Found(
        (
            (
                f"its config says {said}, and it is listed as {wanted}: built or pushed for another "
                "platform (a FROM --platform= in the last stage does that)"
            ),
        )
    )


def _of_version(part: Part) -> tuple[list[str], list[str]]:
    """Return what is wrong with the version of Windows, and what is worth knowing of it."""
    own = str((part.config.whole if part.config else {}).get("os.version") or "")
    if part.platform.os != _WINDOWS or not (own or part.os_version):
        return [], []
    if own and part.os_version and own != part.os_version:
        problem = (
            f"its config says Windows {printable(own)}, and it is listed as {part.os_version}, by which "
            "engines choose; build and push it again"
        )
        return [problem], []
    if not part.os_version:
        return [], [f"the index leaves out os.version {printable(own)}, by which engines choose"]
    return [], [f"Windows {part.os_version}"]


def programs(part: Part, files: Files, allowed: Allowed) -> Found:
    """Say whether all programs and libraries are the platform's, and find their interpreter."""
    found = _Programs(part.platform, files, allowed)
    return found.of_windows() if part.platform.os == _WINDOWS else found.of_others()


def privileged(files: Files, allowed: Allowed) -> Found:
    """Say whether only programs that distributions have so are setuid or setgid."""
    problems, usual = [], []
    for entry in files.tree:
        if entry.kind != "file" or not entry.mode & (_SETUID | _SETGID) or not entry.mode & _RUN:
            continue
        if is_usual(entry.path) or is_in(entry.path, allowed.setuid):
            usual.append(entry.path.rpartition("/")[2])
        else:
            problems.append(_as_whom(entry))
    facts = [f"setuid as usual: {_some(usual)}"] if usual else []
    return Found(tuple(_shortened(problems, "programs are setuid or setgid")), tuple(facts))


class _Programs:
    """The programs of one platform."""

    def __init__(self, platform: Platform, files: Files, allowed: Allowed) -> None:
        self._platform = platform
        self._files = files
        self._allowed = allowed
        self._visitor = BinariesVisitor(platform, Binaries())
        self._bundles = Bundles(files, platform)
        self._own = self._data = self._unread = 0
        self._also: list[str] = []
        self._wrong: list[str] = []

    def of_others(self) -> Found:
        if self._platform.os in _NOT_ELF:
            return Found((), (f"programs of {self._platform} are not looked into",))
        later: list[str] = []  # wrong, where nothing is the platform's own
        for entry, seen in self._each():
            if seen.elf is None:
                if seen.pe and _is_for_windows(seen.pe):
                    self._take((entry, seen), _of_windows(entry, seen.pe, self._platform))
                self._unread += seen.is_unread
                continue
            problem = self._of_elf(entry, seen.elf)
            if problem and isinstance(seen.elf, elf.Elf):
                if machines.device(seen.elf.header):
                    self._data += 1
                    continue
                if self._is_run_too(seen.elf):
                    self._also.append(entry.path)
                    later.append(problem)
                    continue
            self._own += self._take((entry, seen), problem)
        if not self._own:
            self._wrong += later
        return self._found("ELF file")

    def of_windows(self) -> Found:
        known = {self._platform.architecture, "386"}
        for entry, seen in self._each():
            if seen.elf is not None:
                path = printable(entry.path)
                self._take(
                    (entry, seen), f"{path} is an ELF file, which {self._platform} does not run"
                )
            elif seen.pe:
                is_any = seen.pe.managed or seen.pe.kind == "efi" or seen.pe.architecture in known
                problem = "" if is_any else _of_windows(entry, seen.pe, self._platform)
                self._own += self._take((entry, seen), problem)
        return self._found("file of Windows")

    def _of_elf(self, entry: Entry, found: elf.Elf | elf.DamagedError) -> str:
        if isinstance(found, elf.Elf) and found.is_object:
            return ""  # to be linked, never run
        if problem := self._visitor.wrong(entry.path, found, self._files.tree):
            return problem
        asked = found.interpreter if isinstance(found, elf.Elf) else ""
        there = self._files.tree.find(asked) if asked else None
        seen = self._files.seen.get(there.first) if there else None
        if there is None or (seen and (seen.elf or seen.is_unread)):
            return ""
        return (
            f"{printable(entry.path)} needs the interpreter {printable(asked)}, which is no ELF file; "
            "take it from the base image again"
        )

    def _is_run_too(self, found: elf.Elf) -> bool:
        architecture = executables.architecture_of(found.header)
        also = machines.also(self._platform)
        return architecture in also or machines.is_narrow(found.header, self._platform)

    def _each(self) -> Iterator[tuple[Entry, Seen]]:
        """Give each file once, under the first of its names."""
        given = set()
        for entry in self._files.tree:
            seen = self._files.seen.get(entry.first) if entry.kind == "file" else None
            if seen is not None and entry.first not in given:
                given.add(entry.first)
                yield entry, seen

    def _take(self, found: tuple[Entry, Seen], problem: str) -> bool:
        """Take a file with what is wrong with it; say whether nothing is."""
        if not problem:
            return True
        path, seen = found[0].path, found[1]
        is_whole = not isinstance(seen.elf, elf.DamagedError)
        is_for_others = is_whole and (is_brought(path) or self._bundles.has(path, seen))
        if is_for_others or is_data(path) or is_in(path, self._allowed.foreign):
            self._data += 1
        else:
            self._wrong.append(problem)
        return False

    def _found(self, what: str) -> Found:
        several = what if self._own == 1 else what.replace("file", "files")
        facts = [] if self._wrong else [f"{self._own} {several} for {self._platform}"]
        if self._also and self._own:
            facts.append(f"what the CPU runs too: {_some(self._also)}")
        if self._data:
            facts.append(f"{self._data} files for others, where these are data")
        if self._unread:
            facts.append(f"{self._unread} large files that could not be looked into")
        return Found(tuple(_shortened(self._wrong, "files are wrong")), tuple(facts))


def _is_for_windows(found: Pe) -> bool:
    return not found.managed and found.kind != "efi" and found.system == _WINDOWS


def _of_windows(entry: Entry, found: Pe, platform: Platform) -> str:
    path, what = printable(entry.path), "library" if found.kind == "library" else "program"
    return (
        f"{path} is a {what} of Windows for {found.architecture}, expected {platform}; it was compiled "
        "or copied for another platform"
    )


def _as_whom(entry: Entry) -> str:
    how = "setuid" if entry.mode & _SETUID else "setgid"
    whom = f"user {entry.uid}" if entry.mode & _SETUID else f"group {entry.gid}"
    return (
        f"{printable(entry.path)} is {how}: it runs as {whom}, whoever starts it ({entry.mode:04o}); "
        "take that away (chmod), or list it in [audit] setuid"
    )


def _shortened(problems: Sequence[str], what: str) -> Iterator[str]:
    yield from problems[:_MOST_NAMED]
    if len(problems) > _MOST_NAMED:
        yield f"{len(problems) - _MOST_NAMED} more {what}; what is so on purpose goes into [audit]"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MOST_NOTED} more" if len(names) > _MOST_NOTED else ""
    return ", ".join(map(printable, names[:_MOST_NOTED])) + more


def _measured(layers: Sequence[Layer]) -> str:
    compressed = sum(one.descriptor.size for one in layers)
    unpacked = sum(one.contents.unpacked for one in layers if one.contents)
    number = f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    return f"{number}, {sizes.text(compressed)} compressed, {sizes.text(unpacked)} of files"


def made_at(created: str) -> dt.datetime | None:
    """Return when an image was made, as its config says; None where that is no time of anybody's."""
    match = _TIME.match(created)
    if not match or created.startswith(("0001", "1970")):
        return None
    try:
        return dt.datetime.fromisoformat(f"{match[1]}+00:00")
    except ValueError:  # no day that there is
        return None


def _made(created: str) -> Iterator[str]:
    then = made_at(created)
    if then:
        days = (dt.datetime.now(dt.timezone.utc) - then).days
        yield f"made {created[:10]}, {days} days ago"


def _not_there(part: Part, files: Files | None) -> Iterator[str]:
    """Yield that the program which it starts is not there: it may be mounted."""
    if files is None or part.config is None or part.platform.os == _WINDOWS:
        return
    words = starting.words_of(part.config.runtime)
    if words and not starting.program(files.tree, part.config.runtime):
        yield f"what it starts, {printable(words[0])}, is not in the image"
