"""A bake that failed in; for each step that did, what a person has to know, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.building.watched import StepState, Watched

_IMPORT = "importing cache"  # which no build fails for
_AROUND = 2  # lines of the Dockerfile before and after the instruction
_FIRST, _LAST = 16, 4  # lines of a long instruction
_WIDEST = 300  # characters of a line
# What BuildKit says of what it could not begin with, and buildx before it of several targets.
_UNBEGUN = re.compile(
    r"ERROR: (?:target (?P<target>\S+): )?failed to solve: (?P<error>.+)", re.DOTALL
)
_PARSING = re.compile(r"dockerfile parse error on line (\d+)")
_PLACE = re.compile(r"\S.*:(\d+)")
_SIGNAL = re.compile(r"qemu: uncaught target signal (\d+)")
_EXIT = re.compile(r"exit code: (\d+)")
_KILLED, _CRASHED = 137, 139
_WITHOUT = re.compile(r"no match for platform in manifest|does not provide the specified platform")
_UNRUN = re.compile(r"exec format error|exec user process caused")
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class Failure(NamedTuple):
    """A step that failed.

    ``cells`` are the ids of its cells, ``again`` the target and platform of one of them, ``""`` for all
    of its platforms. ``source`` are lines of the Dockerfile with their numbers, ``log`` the last ones
    that the step printed of ``printed``. ``cause`` is the likely one, with the fix; ``""`` where none
    is known.
    """

    cells: tuple[str, ...]
    again: tuple[str, str]
    file: str
    line: int | None
    source: tuple[tuple[int, str], ...]
    place: str
    name: str
    error: str
    log: tuple[str, ...]
    printed: int
    cause: str

    @property
    def where(self) -> str:
        """Where it is written, as in ``Dockerfile:7``; the step's place where that is not known."""
        return f"{self.file}:{self.line}" if self.line else self.place


def failures(bake: Watched, emulator: Callable[[str], str]) -> Iterator[Failure]:
    """Yield the failures of a bake in the order of their end; not what was ended by others.

    ``emulator`` says which one runs a platform's programs, ``""`` where that is not known.
    """
    wrong = [
        one
        for one in bake.steps.values()
        if one.error and not one.is_canceled and not one.what.name.startswith(_IMPORT)
    ]
    for step in sorted(wrong, key=lambda one: one.ended or 0):
        what = step.what
        cells = [one.id for one in bake.cells_of(step)]
        text = (bake.vertices.text(what.file) if what.file else None) or ""
        log = bake.log_of(step)
        target, _, platform = (cells or ["@"])[0].partition("@")
        yield Failure(
            tuple(cells),
            (target, platform),
            what.file,
            what.line,
            tuple(_source(text, what.line)),
            what.place,
            what.name,
            step.error,
            log,
            step.printed + len(step.begun),
            cause(step, log, emulator),
        )


def unbegun(bake: Watched, excerpt: Sequence[str]) -> Iterator[Failure]:
    """Yield what BuildKit refused before any step of a target ran, as a Dockerfile that it cannot read.

    ``excerpt`` are the lines of it that buildx has shown, the first one its place.
    """
    for said in bake.said:
        match = _UNBEGUN.fullmatch(said)
        found = _PARSING.search(said) or (_PLACE.fullmatch(excerpt[0]) if excerpt else None)
        whole = bake.vertices.whole(match["target"] or "") if match and found else None
        if not match or not found or not whole:
            continue
        cells, file, text = whole
        line = int(found[1])
        target, _, platform = cells[0].partition("@")
        again = target, platform if len(cells) == 1 else ""
        source = tuple(_source(text, line))
        yield Failure(cells, again, file, line, source, "", "", match["error"], (), 0, "")


def _source(text: str, line: int | None) -> Iterator[tuple[int, str]]:
    """Yield the lines of an instruction and those around it; of a long one its first and last ones."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not line or line > len(lines):
        return
    last = _last(text, line)
    for number in range(max(1, line - _AROUND), min(len(lines), last + _AROUND) + 1):
        if not line + _FIRST <= number <= last - _LAST:
            yield number, lines[number - 1].rstrip("\r")[:_WIDEST]


def _last(text: str, line: int) -> int:
    """Return the last line of the instruction that begins with a line."""
    from buildx_tasks.dockerfiles import instructions

    try:
        return next((one.last for one in instructions.read(text) if one.line == line), line)
    except ValueError:  # BuildKit says it
        return line


def cause(step: StepState, log: Sequence[str], emulator: Callable[[str], str]) -> str:
    """Return why a step is likely to have failed, and what to do about it; ``""`` where none is known."""
    said = "\n".join((*log, step.error))
    platform = step.what.platform or "its platform"
    code = int(found[1]) if (found := _EXIT.search(step.error)) else 0
    if _UNRUN.search(said):
        return (
            f"nothing here runs programs of {platform}: there is no emulator, or the base image is of "
            "another platform; run invoke setup, then invoke doctor"
        )
    if _WITHOUT.search(said):
        return (
            f"the base image has no {platform}; take one that has it, or leave the platform out "
            "of platforms"
        )
    if _FULL.search(said):
        return (
            "the disk is full: docker system df says what takes the room, docker builder prune "
            "frees the build cache"
        )
    if step.what.is_emulated and ((found := _SIGNAL.search(said)) or code == _CRASHED):
        number = found[1] if found else "11"
        known = f" ({name})" if (name := emulator(platform)) else ""
        return (
            f"the emulator of {platform}{known} crashed (signal {number}): a newer one may not, see "
            "invoke doctor; cross-compiling needs none, see invoke lint"
        )
    if code == _KILLED:
        return "it was killed, most likely for lack of memory: build fewer cells at once, with -p or -t"
    return ""
