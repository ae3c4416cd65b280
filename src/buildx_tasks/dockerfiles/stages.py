"""Dockerfile text → frozen stages, and which of them run where; no I/O.

Tests hold the stages against BuildKit's own ``--call targets``, and what is emulated against what a
build really runs where.
"""

from __future__ import annotations

import functools
import shlex
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.dockerfiles.instructions import read
from buildx_tasks.dockerfiles.shell import expand
from buildx_tasks.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.platforms import Native, Platform

SCRATCH = "scratch"

_EVERYWHERE = tuple(f"linux/{name}" for name in sorted(platforms.ARCHITECTURES))


class Stage(NamedTuple):
    """One stage; ``base`` and ``platform`` are as they are written, ``""`` for no platform."""

    name: str
    number: int
    base: str
    platform: str
    line: int
    instructions: tuple[Instruction, ...] = ()

    @property
    def label(self) -> str:
        """The stage's name; where it has none, what BuildKit calls it."""
        return self.name or f"stage-{self.number}"


class Dockerfile(NamedTuple):
    """The stages, and the ``ARG`` instructions before them."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]


class Placed(NamedTuple):
    """A stage for one target platform.

    ``stage`` has the instructions that really run in it: with those that ``ONBUILD`` of its base
    brings, and none where a named context stands in its place. ``platform`` is the one it runs on,
    None where that cannot be known; ``base`` and ``sources`` are the stages it starts from and takes
    files from.
    """

    stage: Stage
    platform: Platform | None
    base: int | None
    sources: tuple[int, ...]


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Dockerfile:
    """Return the stages of a Dockerfile.

    Raises:
        ValueError: it has no stage, or one that cannot be read; the message says which line.

    """
    arguments: list[Instruction] = []
    stages: list[Stage] = []
    inside: list[list[Instruction]] = []
    for instruction in read(text):
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, len(stages)))
            inside.append([])
        elif inside:
            inside[-1].append(instruction)
        elif instruction.keyword == "ARG":
            arguments.append(instruction)
        else:
            raise ValueError(
                f"line {instruction.line}: {instruction.keyword} stands before the first FROM; "
                "only ARG may"
            )
    if not stages:
        raise ValueError("there is no FROM; start with one, as in FROM alpine:3.22")
    return Dockerfile(
        tuple(arguments),
        tuple(s._replace(instructions=tuple(found)) for s, found in zip(stages, inside)),
    )


def _stage(instruction: Instruction, number: int) -> Stage:
    words = instruction.arguments.split()
    if not (len(words) == 1 or (len(words) == 3 and words[1].lower() == "as")):
        raise ValueError(
            f"line {instruction.line}: FROM takes an image and perhaps a name, as in "
            "FROM alpine:3.22 AS base"
        )
    written = dict(flag[2:].partition("=")[::2] for flag in instruction.flags)
    name = words[2].lower() if len(words) == 3 else ""
    return Stage(name, number, words[0], written.get("platform", ""), instruction.line)


def place(
    dockerfile: Dockerfile,
    platform: Platform,
    build_platform: Platform | None,
    args: Mapping[str, str],
    contexts: Collection[str] = (),
) -> tuple[Placed, ...]:
    """Return every stage for a target platform: where it runs, and what it is made from.

    ``args`` are the build arguments, ``contexts`` the names of the named contexts.

    Raises:
        ValueError: an expression cannot be read; the message says which line.

    """
    values = global_values(dockerfile, platform, build_platform, args)
    numbers = {str(stage.number): stage.number for stage in dockerfile.stages}
    numbers.update((stage.name, stage.number) for stage in dockerfile.stages if stage.name)
    found: list[Placed] = []
    for stage in dockerfile.stages:
        name = _expanded(stage.base, values, stage.line).lower()
        earlier = (s.number for s in dockerfile.stages[stage.number - 1 :: -1] if s.name == name)
        base = next(earlier, None) if stage.number else None
        written = platforms.known(_expanded(stage.platform, values, stage.line))
        own = written if stage.platform else platform
        if _replaced(stage, own or platform, contexts):
            found.append(Placed(stage._replace(instructions=()), own, None, ()))
            continue
        if base is not None:
            # What --platform says of a stage that starts from another one is not listened to.
            own = found[base].platform
            triggers = _triggers(found[base].stage)
            stage = stage._replace(instructions=(*triggers, *stage.instructions))  # noqa: PLW2901
        elif name == SCRATCH:
            own = platform
        found.append(Placed(stage, own, base, tuple(_sources(stage, numbers))))
    return tuple(found)


def global_values(
    dockerfile: Dockerfile,
    platform: Platform,
    build_platform: Platform | None,
    args: Mapping[str, str],
) -> dict[str, str]:
    """Return what may stand in a ``FROM``: the ``ARG`` before the first one, and the platforms.

    Raises:
        ValueError: an expression cannot be read; the message says which line.

    """
    values = {}
    for prefix, its in (("BUILD", build_platform), ("TARGET", platform)):
        if its:
            facts = (str(its), its.os, its.architecture, its.variant)
            for name, value in zip(("PLATFORM", "OS", "ARCH", "VARIANT"), facts):
                values[prefix + name] = args.get(prefix + name, value)
    for argument in dockerfile.arguments:
        for word in _words(argument):
            name, given, default = word.partition("=")
            if name in args:
                values[name] = args[name]
            elif given:
                values[name] = _expanded(default, values, argument.line)
    return values


def _words(instruction: Instruction) -> list[str]:
    try:
        return shlex.split(instruction.value)
    except ValueError as error:
        raise ValueError(f"line {instruction.line}: {error}") from None


def _expanded(text: str, values: Mapping[str, str], line: int) -> str:
    try:
        return expand(text, values)
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _replaced(stage: Stage, platform: Platform, contexts: Collection[str]) -> bool:
    """Say whether a named context stands in a stage's place: ``NAME`` or ``NAME::os/arch``."""
    if not stage.name:
        return False
    for context in contexts:
        name, _, only = context.partition("::")
        if name == stage.name and (not only or platforms.known(only) == platform):
            return True
    return False


def _triggers(base: Stage) -> Iterator[Instruction]:
    for instruction in base.instructions:
        if instruction.keyword == "ONBUILD":
            keyword, *value = instruction.value.split(None, 1) or [""]
            yield instruction._replace(keyword=keyword.upper(), value="".join(value))


def _sources(stage: Stage, numbers: Mapping[str, int]) -> Iterator[int]:
    for instruction in stage.instructions:
        for flag in instruction.flags:
            key, _, value = flag.partition("=")
            if instruction.keyword == "RUN" and key == "--mount":
                value = dict(field.partition("=")[::2] for field in value.split(",")).get(
                    "from", ""
                )
                value = "" if value.isdecimal() else value  # an image, other than in COPY
            elif instruction.keyword != "COPY" or key != "--from":
                continue
            if value.lower() in numbers:
                yield numbers[value.lower()]


def reachable(placed: Sequence[Placed], target: str = "") -> tuple[Placed, ...]:
    """Return the stages that the target stage (the last one, where none is named) is made from.

    Raises:
        ValueError: there is no stage of that name.

    """
    found: set[int] = set()
    waiting = [target_stage(placed, target)]
    while waiting:
        one = placed[waiting.pop()]
        if one.stage.number not in found:
            found.add(one.stage.number)
            waiting += one.sources if one.base is None else (*one.sources, one.base)
    return tuple(one for one in placed if one.stage.number in found)


def target_stage(placed: Sequence[Placed], target: str = "") -> int:
    """Return the number of the stage that is built.

    Raises:
        ValueError: there is no stage of that name.

    """
    if not target:
        return len(placed) - 1
    names = {one.stage.name: one.stage.number for one in placed if one.stage.name}
    if target.lower() not in names:
        hint = nearest(target, names) or "; name one with AS"
        raise ValueError(f'there is no stage "{target}"{hint}')
    return names[target.lower()]


def native_platform(native: Native) -> Platform | None:
    """Return what ``$BUILDPLATFORM`` can be for a builder: a platform that it runs natively."""
    known = (platforms.host_platform(), *map(platforms.parse, _EVERYWHERE))
    return next(filter(native, known), None)


def emulated_runs(
    text: str,
    platform: Platform,
    native: Native,
    args: Mapping[str, str] | None = None,
    target: str = "",
    contexts: Collection[str] = (),
) -> list[tuple[Stage, Instruction]]:
    """Return the ``RUN`` instructions that a build for ``platform`` runs under emulation.

    ``native`` says what the builder runs without an emulator, ``target`` is the stage to build.

    Raises:
        ValueError: the Dockerfile cannot be read.

    """
    everything = place(parse(text), platform, native_platform(native), args or {}, contexts)
    return [
        (one.stage, instruction)
        for one in reachable(everything, target)
        if one.platform and not native(one.platform)
        for instruction in one.stage.instructions
        if instruction.keyword == "RUN"
    ]
