"""A Dockerfile's text → our own findings: what several platforms make of it. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles import architectures, compiling, stages
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.compiling import Compiled, Language
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.platforms import Native, Platform

_TARGET = re.compile(r"\bTARGET(?:PLATFORM|OS|ARCH|VARIANT)\b")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@")
_FILES = frozenset({"cacheonly", "local", "tar"})  # outputs that are no image
_CHOICE = re.compile(
    r"\bTARGET(?:PLATFORM|ARCH|VARIANT)\b|\buname\s+-m|--print-(?:foreign-)?arch|\bGOARCH\b"
)


class _View(NamedTuple):
    """A build, and its stages on each platform: all of them, and the ones that are needed.

    ``arguments`` are the names of the ``ARG`` before the first ``FROM``.
    """

    build: DockerfileBuild
    arguments: frozenset[str]
    placed: dict[Platform, tuple[Placed, ...]]
    needed: dict[Platform, tuple[Placed, ...]]

    @property
    def stages(self) -> dict[int, Stage]:
        """The stages that any platform needs."""
        return {one.stage.number: one.stage for needed in self.needed.values() for one in needed}

    def finding(
        self, code: str, stage: Stage, line: int, *words: str, platform: Platform | None = None
    ) -> Finding:
        message, fix = words
        build = self.build
        return Finding(code, build.target, platform, build.file, line, stage.label, message, fix)


def check(
    build: DockerfileBuild, text: str, native: Native, *, linked: bool = False
) -> list[Finding]:
    """Return what is to be said of a Dockerfile's text; ``native`` says what is not emulated.

    ``linked`` says that it is built only for others to be made from.

    Raises:
        ValueError: it cannot be read.

    """
    parsed = stages.parse(text)
    here = stages.native_platform(native)
    placed = {p: stages.place(parsed, p, here, build.args, build.contexts) for p in build.platforms}
    needed = {p: stages.reachable(found, build.stage) for p, found in placed.items()}
    arguments = " ".join(one.value for one in parsed.arguments)
    view = _View(build, frozenset(_TARGET.findall(arguments)), placed, needed)
    pinned = [] if linked else _pinned(view)
    return [*_emulated(view, native), *pinned, *_same(view), *_copied(view), *_uncached(view)]


def _runs(stage: Stage) -> Iterator[Instruction]:
    return (one for one in stage.instructions if one.keyword == "RUN")


def _chain(placed: Sequence[Placed], index: int) -> list[Placed]:
    """Return a stage and those it starts from."""
    found = [placed[index]]
    while found[-1].base is not None:
        found.append(placed[found[-1].base])
    return found


def _image(view: _View, platform: Platform) -> list[Placed]:
    """Return the stages whose own files are the image."""
    placed = view.placed[platform]
    return _chain(placed, stages.target_stage(placed, view.build.stage))


def _emulated(view: _View, native: Native) -> Iterator[Finding]:
    for platform, needed in view.needed.items():
        image = {one.stage.number for one in _image(view, platform)}
        for one in needed:
            if one.platform is None or native(one.platform):
                continue
            root = _chain(view.placed[platform], one.stage.number)[-1].stage
            where = "" if one.platform == platform else f" on {one.platform}"
            for run, language in _languages(view, platform, one.stage):
                what = f"compiles {language.name}" if language else "runs"
                yield view.finding(
                    "EmulatedCompile" if language else "EmulatedRun",
                    one.stage,
                    run.line,
                    f"stage {one.stage.label} {what} under emulation{where}",
                    _natively(root, language, in_image=one.stage.number in image),
                    platform=platform,
                )


def _languages(
    view: _View, platform: Platform, stage: Stage
) -> Iterator[tuple[Instruction, Language | None]]:
    """Yield each ``RUN`` of a stage with what it compiles."""
    chain = [one.stage for one in _chain(view.placed[platform], stage.number)]
    before = "\n".join(map(_text, chain))
    for run in _runs(stage):
        yield run, compiling.language(run, chain[-1].base, before)


def _natively(root: Stage, language: Language | None, *, in_image: bool) -> str:
    """Return what to write instead of an emulated ``RUN``.

    Pinning a stage of the image itself would give it the build machine's base.
    """
    name = root.name if root.name and not in_image else "build"
    pinned = f"FROM --platform=$BUILDPLATFORM {root.base} AS {name}"
    if language and in_image:
        cross = f"{language.cross}; " if language.cross else ""
        return f"compile in a stage of its own, {pinned}; {cross}then COPY --from={name} the result"
    if language is compiling.WHEELS:
        return (
            f"wheels of pure Python: write {pinned} in line {root.line}; others need a node that runs "
            "the platform natively"
        )
    if language:
        cross = f"; {language.cross}" if language.cross else ""
        return f"write {pinned} in line {root.line}{cross}"
    if not in_image:
        return (
            f"where its result is the same for every platform, write {pinned} in line {root.line}; "
            "else build on a node that runs the platform natively, or ignore EmulatedRun"
        )
    return (
        "make files in a stage FROM --platform=$BUILDPLATFORM and COPY --from it, pick them with "
        "$TARGETARCH in COPY; what has to run here, as a package manager, needs a node that runs "
        "the platform natively, or ignore EmulatedRun"
    )


def _pinned(view: _View) -> Iterator[Finding]:
    """Find images of several platforms that all are of one machine."""
    build = view.build
    outputs = {one["type"] for one in build.attributes.get("output", ())}
    if (outputs and outputs <= _FILES) or build.attributes.get("call", "build") != "build":
        return
    chains = {platform: _image(view, platform) for platform in view.placed}
    on = {chain[0].platform for chain in chains.values()}
    if len(chains) < 2 or len(on) > 1 or None in on:
        return
    chain = next(iter(chains.values()))
    final, root = chain[0].stage, chain[-1].stage
    if final.name in build.contexts or root.name in build.contexts:
        return  # what stands there instead is not known
    if final is root or final.number == root.number:
        name, pinned = root.base, ""
        fix = (
            f"leave --platform out: FROM {name} in line {root.line}; what compiles belongs in an "
            "earlier stage that has it, with COPY --from the result"
        )
    else:
        name = root.name or str(root.number)
        pinned = f" as stage {root.label} in line {root.line} does"
        fix = (
            f"start stage {final.label} from an image without --platform, and COPY --from={name} the "
            "result"
        )
    (platform,) = on
    yield view.finding(
        "FinalStagePinned",
        final,
        final.line,
        f"stage {final.label}, the image, runs on {platform} for every platform{pinned}: the images "
        f"for {_joined(view)} all have its programs",
        fix,
    )


def _same(view: _View) -> Iterator[Finding]:
    """Find stages that compile on one platform what lands in the images of others."""
    seen: set[int] = set()
    for platform, placed in view.placed.items():
        for index in _offered(view, platform):
            chain = _chain(placed, index)
            compiled = [one for one in _compiled(view, chain) if one[0].platform != platform]
            if any(one.asks == "target" for _, one in compiled):
                continue  # what else it compiles may be tools
            text = "\n".join(_text(one.stage) for one in chain)
            named = set(architectures.in_text(" ".join((text, *view.build.args.values()))))
            for one, its in compiled:
                if its.asks != "undeclared" and platform.architecture in named:
                    continue
                if one.platform is None or one.stage.number in seen:
                    continue
                seen.add(one.stage.number)
                why, fix = _unasked(view, one.stage, its)
                yield view.finding(
                    "TargetPlatformUnused",
                    one.stage,
                    its.run.line,
                    f"stage {one.stage.label} compiles {its.language.name} on {one.platform} {why}: one "
                    f"binary lands in the images for {_joined(view)}",
                    fix,
                )


def _compiled(view: _View, chain: list[Placed]) -> Iterator[tuple[Placed, Compiled]]:
    """Yield what the stages of a chain compile, and what of the target that asks for."""
    if any(_TARGET.search(one.stage.base) for one in chain):
        return  # another image, with another compiler, for each platform
    scope = compiling.Scope(chain[-1].stage.base, view.build.args)
    for one in reversed(chain):
        own = one.stage.instructions
        for its in filter(None, map(scope.read, own)):
            yield one, its


def _unasked(view: _View, stage: Stage, its: Compiled) -> tuple[str, str]:
    """Return in which way a compiler does not get the target, and what to write."""
    outside = sorted(view.arguments)
    if its.asks == "undeclared":
        before = f"ARG {its.missing} stands before the first FROM only"
        return (
            f"with ${its.missing}, which is empty there, as "
            + (before if its.missing in outside else f"the stage has no ARG {its.missing}"),
            f"write ARG {its.missing} in stage {stage.label}, before line {its.run.line}",
        )
    if its.asks == "unread":
        return f"although it declares the target, as {its.language.reads}", its.language.unread
    if outside:
        before = f"ARG {' '.join(outside)} stands before the first FROM only"
        return f"without the target, as {before}, where no stage sees it", its.language.cross
    return "and never asks for the target", its.language.cross


def _offered(view: _View, platform: Platform) -> Iterator[int]:
    """Yield the stages whose files land in the image: its own, and those it copies from.

    What passes through a stage without ``RUN`` lands there too; a ``RUN`` may just use it.
    """
    placed = view.placed[platform]
    waiting = [one.stage.number for one in _image(view, platform)]
    yield waiting[0]
    seen = set(waiting)
    while waiting:
        for source in placed[waiting.pop()].sources:
            if source in seen:
                continue
            seen.add(source)
            yield source
            if not any(_runs(placed[source].stage)):
                waiting += [one.stage.number for one in _chain(placed, source)]


def _text(stage: Stage) -> str:
    return "\n".join((stage.base, stage.platform, *map(compiling.text, stage.instructions)))


def _joined(view: _View) -> str:
    return listed(map(str, view.build.platforms))


def _copied(view: _View) -> Iterator[Finding]:
    for index, stage in view.stages.items():
        wanted = [
            platform
            for platform, needed in view.needed.items()
            if any(one.stage.number == index and one.platform == platform for one in needed)
        ]
        if len(wanted) < 2:
            continue
        copies = [(one, path) for one in stage.instructions for path in _copied_paths(one)]
        named = [
            (one, path, found)
            for one, path in copies
            for found in [architectures.in_path(path)]
            if found
        ]
        # All of them are there, for what runs to choose from.
        if {p.architecture for p in wanted} <= {found[0] for _, _, found in named}:
            continue
        for one, path, (architecture, word) in named:
            if all(p.architecture == architecture for p in wanted) or _chosen(stage, one.line):
                continue
            yield view.finding(
                "ArchitectureInCopy",
                stage,
                one.line,
                f"{one.keyword} {path}: the same file, for {architecture} by its name, lands in the "
                f"images for {listed(map(str, wanted))}",
                _by_target(view, one, path, word, is_go=word == architecture),
            )


def _by_target(view: _View, copy: Instruction, path: str, word: str, *, is_go: bool) -> str:
    """Return how to copy each platform's own file; ``word`` is the architecture in its path."""
    before, _, behind = path.rpartition(word)
    joins = re.match(r"\w", behind)

    def named(name: str) -> str:
        return f"{copy.keyword} {before}{f'${{{name}}}' if joins else f'${name}'}{behind}"

    if is_go:
        return f"write ARG TARGETARCH and {named('TARGETARCH')}"
    target = view.build.target
    if _URL.match(path) or any(flag.startswith("--from=") for flag in copy.flags):
        return (
            f"write ARG TARGETARCH and $TARGETARCH in the name, where there is such a file; else ARG "
            f'ARCH and {named("ARCH")}, with args = {{ ARCH = "…" }} in [target.{target}.platform.'
            '"OS/ARCH"] for each platform'
        )
    return f"name each platform's file in [target.{target}.files], and write COPY --from=files"


def _copied_paths(instruction: Instruction) -> list[str]:
    if instruction.keyword not in {"ADD", "COPY"}:
        return []
    words = instruction.json or instruction.arguments.split()
    return [word for word in words[:-1] if "$TARGET" not in word and "${TARGET" not in word]


def _chosen(stage: Stage, line: int) -> bool:
    """Say whether something behind a line chooses by the platform."""
    behind = [one for one in stage.instructions if one.line > line and one.keyword != "ARG"]
    return any(_CHOICE.search(compiling.text(one)) for one in behind)


def _uncached(view: _View) -> Iterator[Finding]:
    platform = next(iter(view.placed))
    for stage in view.stages.values():
        for run, language in _languages(view, platform, stage):
            mounts = (flag for flag in run.flags if flag.startswith("--mount="))
            if any("type=cache" in m.partition("=")[2].split(",") for m in mounts):
                continue
            if language and language.cache:
                yield view.finding(
                    "NoCacheMount",
                    stage,
                    run.line,
                    f"this RUN compiles {language.name} without a cache mount: any change compiles all "
                    "anew",
                    f"write RUN {language.cache}",
                )
