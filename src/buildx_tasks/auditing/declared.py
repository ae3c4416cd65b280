"""What ``[target.NAME.verify]`` says of a platform in; what of it needs no run, found out, out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import msgspec

from buildx_tasks.images import merged
from buildx_tasks.images.paths import is_in
from buildx_tasks.verification import layer_walk
from buildx_tasks.verification.check import RUNNING, Found
from buildx_tasks.verification.checks import (
    binaries,
    config,
    files,
    size,
    structure_files,
    structure_metadata,
)
from buildx_tasks.verification.checks.windows_binaries import WindowsVisitor
from buildx_tasks.verification.outside.structure import Content
from buildx_tasks.verification.results import CheckResult
from buildx_tasks.verification.unit_checks import result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.auditing.places import Held, Part
    from buildx_tasks.auditing.reading import Layer, Layers
    from buildx_tasks.images.elf import DamagedError, Elf
    from buildx_tasks.images.merged import Files
    from buildx_tasks.images.paths import Entry
    from buildx_tasks.language.expectations import Size
    from buildx_tasks.verification.check import Check
    from buildx_tasks.verification.visiting import Visitor

# Why a kind is not looked at here.
NEEDS = {
    **dict.fromkeys(RUNNING, "it needs a run: verify --published --run"),
    "command": "it looks at what was built: invoke verify",
    "reproducible": "it needs a build: invoke verify",
}
_NAMES = frozenset({config.PASSWD, "/etc/group"})


class Wanted:
    """Which texts of an image the declared checks look into."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._patterns = [
            pattern for check in checks if not check.skip for pattern in _patterns(check)
        ]

    def wants(self, path: str) -> bool:
        """As of :class:`buildx_tasks.images.contents.Texts`."""
        return path in _NAMES or is_in(path, self._patterns)


def _patterns(check: Check) -> Iterator[str]:
    if check.kind == "structure-files" and isinstance(check.spec, Content):
        yield check.spec.path
    if check.kind == "files":
        for pattern, file in check.spec.items():
            if file.sha256 or file.contains or file.matches:
                yield pattern


class Declared:
    """The checks of one platform that was read whole."""

    def __init__(self, image: Held, part: Part, layers: Sequence[Layer], reading: Layers) -> None:
        self._image = image
        self._part = part
        self._layers = layers
        self._reading = reading

    def results(self, checks: Sequence[Check], there: Files | None) -> Iterator[CheckResult]:
        """Yield what is found of each; what needs a run, or files that could not be read, is skipped."""
        if there is not None and self._is_windows:
            there = layer_walk.as_windows_sees(there)
        for check in checks:
            reason = check.skip or NEEDS.get(check.kind, "")
            if not reason and there is None and check.kind != "size":
                reason = "a layer of it could not be read"
            if not reason and self._part.config is None:
                reason = "its config could not be read"
            if reason:
                yield CheckResult(check.name, check.kind, "skip", reason=reason)
            else:
                yield result_of(check, self._found(check, there or merged.merged([])), 0.0)

    def _found(self, check: Check, there: Files) -> Found:
        if check.kind == "binaries" and self._is_windows:
            programs = WindowsVisitor(self._part.platform, check.spec)
            programs.know({first: seen.elf or seen.pe for first, seen in there.seen.items()})
            return programs.found(there.tree)
        if check.kind == "binaries":
            read = elves(there)
            return binaries.of_files(there.tree, read, self._part.platform, check.spec)
        if check.kind == "config":
            return self._config(check.spec, there)
        if check.kind == "size":
            return self._size(check.spec)
        runtime = self._part.config.runtime if self._part.config else {}
        if check.kind == "structure-metadata":
            return Found(tuple(structure_metadata.compare(runtime, check.spec)))
        if check.kind == "structure-files":
            return self._files(structure_files.visitor_in(runtime, check.spec), there)
        return self._files(files.FilesVisitor(check.spec), there)

    def _config(self, spec: Any, there: Files) -> Found:
        part = self._part
        runtime = part.config.runtime if part.config else {}
        problems = list(config.compare(runtime, spec))
        own = part.manifest.content.marks if part.manifest else {}
        marks = {**own, **part.descriptor.marks}
        elsewhere = {
            "it is a label: expect it with config = { labels = … }": runtime.get("Labels") or {}
        }
        if self._image.is_index:
            how = "the index has it: expect it with index = { annotations = … }"
            elsewhere = {how: self._image.root.content.marks, **elsewhere}
        for key, value in spec.annotations.items():
            if marks.get(key) != value:
                problems.append(config.annotation_problem(key, value, marks, elsewhere))
        user = config.user_of(runtime)
        if self._is_windows or not spec.nonroot or config.problem_of_root(user) or user.isdecimal():
            return Found(tuple(problems))
        entry = there.tree.find(config.PASSWD)
        seen = there.seen.get(entry.first) if entry else None
        passwd = (seen.text or b"").decode(errors="replace") if seen else ""
        found = config.of_named_user(passwd, user)
        return found._replace(problems=(*problems, *found.problems))

    def _size(self, spec: Size) -> Found:
        compressed = sum(one.descriptor.size for one in self._layers)
        asked = msgspec.structs.replace(spec, unpacked=None, growth=None)
        # As verify counts them, both are an engine's: blocks of its disc, and what it pushed last.
        left_out = [name for name in ("unpacked", "growth") if getattr(spec, name) is not None]
        problems = size.compare(asked, compressed, 0, size.Last(0, unknown=True), "")
        facts = [size.text_of(compressed)]
        facts += [f"{name} is not known here: invoke verify" for name in left_out]
        return Found(tuple(problems), tuple(facts))

    def _files(self, visitor: Visitor, there: Files) -> Found:
        lost: list[str] = []
        more: dict[int, dict[str, list[Callable[[], Any]]]] = {}  # by the layer's number, and path
        for first in visitor.missing(there.tree):
            entry = there.tree.at(first)
            taker: Any = visitor.take(entry) if entry else None
            if entry is None or taker is None:
                continue
            seen = there.seen.get(first)
            if entry.size and (seen is None or seen.text is None):
                place = self._layer_of(entry)
                if place is None:
                    lost.append(f"{entry.path} is behind a lower layer's link: see invoke verify")
                else:
                    number, path = place
                    more.setdefault(number, {}).setdefault(path, []).append(
                        partial(visitor.take, entry)
                    )
                continue
            if entry.size and seen:
                taker.feed(seen.text)
            taker.end()
        again = [self._reading.again(self._layers[one], wanted) for one, wanted in more.items()]
        found = visitor.found(there.tree)
        return found._replace(problems=(*found.problems, *lost, *filter(None, again)))

    @property
    def _is_windows(self) -> bool:
        return self._part.platform.os == "windows"

    def _layer_of(self, entry: Entry) -> tuple[int, str] | None:
        """Return the number of the layer that has a file's content, and its path in it.

        None where that is not plain.
        """
        names = {entry.first}
        if self._is_windows:
            names.add(f"{layer_walk.FILES}{entry.first}")
        for number in reversed(range(len(self._layers))):
            contents = self._layers[number].contents
            members = contents.members if contents else ()
            for one in members:
                if one.entry.path in names and one.entry.size:
                    return number, one.entry.path
        return None


def elves(there: Files) -> dict[str, Elf | DamagedError]:
    """Return what the ELF files say, by the ``first`` of their entries."""
    return {first: seen.elf for first, seen in there.seen.items() if seen.elf is not None}
