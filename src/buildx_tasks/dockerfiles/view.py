"""A build, and its stages on each of its platforms: what all rules look at, and who ends up where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.dockerfiles import compiling, stages
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.compiling import Language
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.platforms import Native, Platform

TARGET = re.compile(r"\bTARGET(?:PLATFORM|OS|ARCH|VARIANT)\b")


class View(NamedTuple):
    """A build, and its stages on each platform: all of them, and the ones that are needed.

    ``before`` are the ``ARG`` before the first ``FROM``, ``values`` what they come to on each platform,
    ``arguments`` those of them that name the target.
    """

    build: DockerfileBuild
    arguments: frozenset[str]
    placed: dict[Platform, tuple[Placed, ...]]
    needed: dict[Platform, tuple[Placed, ...]]
    values: Mapping[Platform, Mapping[str, str]]
    before: tuple[Instruction, ...]

    @property
    def stages(self) -> dict[int, Stage]:
        """The stages that any platform needs."""
        return {one.stage.number: one.stage for needed in self.needed.values() for one in needed}

    @property
    def names(self) -> str:
        """The platforms, as a person lists them."""
        return listed(map(str, self.build.platforms))

    @property
    def outputs(self) -> set[str]:
        """The types of what the build leaves; none where that is an image."""
        return {one["type"] for one in self.build.attributes.get("output", ())}

    def finding(
        self, code: str, stage: Stage, line: int, *words: str, platform: Platform | None = None
    ) -> Finding:
        """Return a finding; ``words`` are its message and its fix."""
        message, fix = words
        build = self.build
        return Finding(code, build.target, platform, build.file, line, stage.label, message, fix)


def view_of(build: DockerfileBuild, text: str, native: Native) -> View:
    """Return the view of a build whose Dockerfile has this text.

    Raises:
        ValueError: it cannot be read.

    """
    parsed = stages.parse(text)
    here = stages.native_platform(native)
    placed = {p: stages.place(parsed, p, here, build.args, build.contexts) for p in build.platforms}
    needed = {p: stages.reachable(found, build.stage) for p, found in placed.items()}
    values = {p: stages.global_values(parsed, p, here, build.args) for p in build.platforms}
    arguments = " ".join(one.value for one in parsed.arguments)
    names = frozenset(TARGET.findall(arguments))
    return View(build, names, placed, needed, values, parsed.arguments)


def runs(stage: Stage) -> Iterator[Instruction]:
    """Yield the ``RUN`` instructions of a stage."""
    return (one for one in stage.instructions if one.keyword == "RUN")


def chain_of(placed: Sequence[Placed], index: int) -> list[Placed]:
    """Return a stage and those it starts from."""
    found = [placed[index]]
    while found[-1].base is not None:
        found.append(placed[found[-1].base])
    return found


def image_of(view: View, platform: Platform) -> list[Placed]:
    """Return the stages whose own files are the image."""
    placed = view.placed[platform]
    return chain_of(placed, stages.target_stage(placed, view.build.stage))


def offered(view: View, platform: Platform) -> Iterator[int]:
    """Yield the stages whose files land in the image: its own, and those it copies from.

    What passes through a stage without ``RUN`` lands there too; a ``RUN`` may just use it.
    """
    placed = view.placed[platform]
    waiting = [one.stage.number for one in image_of(view, platform)]
    yield waiting[0]
    seen = set(waiting)
    while waiting:
        for source in placed[waiting.pop()].sources:
            if source in seen:
                continue
            seen.add(source)
            yield source
            if not any(runs(placed[source].stage)):
                waiting += [one.stage.number for one in chain_of(placed, source)]


def languages(
    view: View, platform: Platform, stage: Stage
) -> Iterator[tuple[Instruction, Language | None]]:
    """Yield each ``RUN`` of a stage with what it compiles."""
    chain = [one.stage for one in chain_of(view.placed[platform], stage.number)]
    before = "\n".join(map(stage_text, chain))
    for run in runs(stage):
        its = compiling.language(run, chain[-1].base, before)
        # A tool of others is installed once, and has to run here.
        yield run, None if its and compiling.tool(run) else its


def brings_sources(instruction: Instruction) -> bool:
    """Say whether an instruction may bring what is to be compiled."""
    bound = any("type=bind" in flag or "type=" not in flag for flag in _mounts(instruction))
    return instruction.keyword in {"ADD", "COPY"} or bound


def _mounts(instruction: Instruction) -> list[str]:
    return [flag for flag in instruction.flags if flag.startswith("--mount=")]


def mounts(run: Instruction) -> Iterator[dict[str, str]]:
    """Yield the mounts of a ``RUN``, each as its fields."""
    for flag in _mounts(run):
        fields = flag.partition("=")[2].replace('"', "").split(",")
        found: dict[str, Any] = dict(field.partition("=")[::2] for field in fields)
        found["target"] = found.get("target") or found.get("dst") or found.get("destination") or ""
        yield found


def stage_text(stage: Stage) -> str:
    """Return all that a stage says."""
    return "\n".join((stage.base, stage.platform, *map(compiling.text, stage.instructions)))
