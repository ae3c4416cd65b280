"""Our own checks of a Dockerfile: what several platforms make of it. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.dockerfiles import compiling
from buildx_tasks.dockerfiles import stages as dockerfile
from buildx_tasks.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.dockerfiles.compiling import Compiled, Language
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.planning.dockerfile_builds import Case
    from buildx_tasks.platforms import Platform

    Native = Callable[[Platform], bool]

CODES = (
    "ArchitectureInCopy",
    "EmulatedCompile",
    "EmulatedRun",
    "FinalStagePinned",
    "NoCacheMount",
    "TargetPlatformUnused",
)

# The names of architectures in files and triples; OCI's own are Go's.
# Source: https://github.com/containerd/platforms/blob/main/database.go
_NAMES = {
    "aarch64": "arm64",
    "amd64": "amd64",
    "arm64": "arm64",
    "arm64v8": "arm64",
    "armel": "arm",
    "armhf": "arm",
    "armv5": "arm",
    "armv6": "arm",
    "armv6l": "arm",
    "armv7": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "loong64": "loong64",
    "loongarch64": "loong64",
    "mips64le": "mips64le",
    "mipsle": "mipsle",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86_64": "amd64",
}
# Also words of their own: an architecture only behind a system, or at the very end of a name.
_SHORT = {"386": "386", "arm": "arm", "x64": "amd64"}
_NAME = re.compile(r"x86[_-]64|[a-zA-Z0-9]+")
_BEHIND_SYSTEM = re.compile(r"linux[-_./](386|arm|x64)(?![a-zA-Z0-9])")
_AT_END = re.compile(r".*[a-zA-Z0-9][-_.](386|arm|x64)(?:\.exe)?")
_TARGET = re.compile(r"\bTARGET(?:PLATFORM|OS|ARCH|VARIANT)\b")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@")
_FILES = frozenset({"cacheonly", "local", "tar"})  # outputs that are no image
_CHOICE = re.compile(
    r"\bTARGET(?:PLATFORM|ARCH|VARIANT)\b|\buname\s+-m|--print-(?:foreign-)?arch|\bGOARCH\b"
)


class Finding(NamedTuple):
    """One thing to change; ``platform`` is None where it is the same for all platforms.

    ``line`` is 0 and ``stage`` empty where they are not known.
    """

    code: str
    target: str
    platform: Platform | None
    file: str
    line: int
    stage: str
    message: str
    fix: str


class _Build(NamedTuple):
    """A case, and its stages on each platform: all of them, and the ones that are needed.

    ``arguments`` are the names of the ``ARG`` before the first ``FROM``.
    """

    case: Case
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
        case = self.case
        return Finding(code, case.target, platform, case.file, line, stage.label, message, fix)


def check(case: Case, text: str, native: Native, *, linked: bool = False) -> list[Finding]:
    """Return what is to be said of a Dockerfile's text; ``native`` says what is not emulated.

    ``linked`` says that it is built only for others to be made from.

    Raises:
        ValueError: it cannot be read.

    """
    parsed = dockerfile.parse(text)
    here = dockerfile.native_platform(native)
    placed = {
        p: dockerfile.place(parsed, p, here, case.args, case.contexts) for p in case.platforms
    }
    needed = {p: dockerfile.reachable(found, case.stage) for p, found in placed.items()}
    arguments = " ".join(one.value for one in parsed.arguments)
    build = _Build(case, frozenset(_TARGET.findall(arguments)), placed, needed)
    pinned = [] if linked else _pinned(build)
    return [*_emulated(build, native), *pinned, *_same(build), *_copied(build), *_uncached(build)]


def _runs(stage: Stage) -> Iterator[Instruction]:
    return (one for one in stage.instructions if one.keyword == "RUN")


def _chain(placed: Sequence[Placed], index: int) -> list[Placed]:
    """Return a stage and those it starts from."""
    found = [placed[index]]
    while found[-1].base is not None:
        found.append(placed[found[-1].base])
    return found


def _image(build: _Build, platform: Platform) -> list[Placed]:
    """Return the stages whose own files are the image."""
    placed = build.placed[platform]
    return _chain(placed, dockerfile.target_stage(placed, build.case.stage))


def _emulated(build: _Build, native: Native) -> Iterator[Finding]:
    for platform, needed in build.needed.items():
        image = {one.stage.number for one in _image(build, platform)}
        for one in needed:
            if one.platform is None or native(one.platform):
                continue
            root = _chain(build.placed[platform], one.stage.number)[-1].stage
            where = "" if one.platform == platform else f" on {one.platform}"
            for run, language in _languages(build, platform, one.stage):
                what = f"compiles {language.name}" if language else "runs"
                yield build.finding(
                    "EmulatedCompile" if language else "EmulatedRun",
                    one.stage,
                    run.line,
                    f"stage {one.stage.label} {what} under emulation{where}",
                    _natively(root, language, in_image=one.stage.number in image),
                    platform=platform,
                )


def _languages(
    build: _Build, platform: Platform, stage: Stage
) -> Iterator[tuple[Instruction, Language | None]]:
    """Yield each ``RUN`` of a stage with what it compiles."""
    chain = [one.stage for one in _chain(build.placed[platform], stage.number)]
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


def _pinned(build: _Build) -> Iterator[Finding]:
    """Find images of several platforms that all are of one machine."""
    case = build.case
    outputs = {one["type"] for one in case.attributes.get("output", ())}
    if (outputs and outputs <= _FILES) or case.attributes.get("call", "build") != "build":
        return
    chains = {platform: _image(build, platform) for platform in build.placed}
    on = {chain[0].platform for chain in chains.values()}
    if len(chains) < 2 or len(on) > 1 or None in on:
        return
    chain = next(iter(chains.values()))
    final, root = chain[0].stage, chain[-1].stage
    if final.name in case.contexts or root.name in case.contexts:
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
    yield build.finding(
        "FinalStagePinned",
        final,
        final.line,
        f"stage {final.label}, the image, runs on {platform} for every platform{pinned}: the images "
        f"for {_joined(build)} all have its programs",
        fix,
    )


def _same(build: _Build) -> Iterator[Finding]:
    """Find stages that compile on one platform what lands in the images of others."""
    seen: set[int] = set()
    for platform, placed in build.placed.items():
        for index in _offered(build, platform):
            chain = _chain(placed, index)
            compiled = [one for one in _compiled(build, chain) if one[0].platform != platform]
            if any(one.asks == "target" for _, one in compiled):
                continue  # what else it compiles may be tools
            text = "\n".join(_text(one.stage) for one in chain)
            named = set(_architectures(" ".join((text, *build.case.args.values()))))
            for one, its in compiled:
                if its.asks != "undeclared" and platform.architecture in named:
                    continue
                if one.platform is None or one.stage.number in seen:
                    continue
                seen.add(one.stage.number)
                why, fix = _unasked(build, one.stage, its)
                yield build.finding(
                    "TargetPlatformUnused",
                    one.stage,
                    its.run.line,
                    f"stage {one.stage.label} compiles {its.language.name} on {one.platform} {why}: one "
                    f"binary lands in the images for {_joined(build)}",
                    fix,
                )


def _compiled(build: _Build, chain: list[Placed]) -> Iterator[tuple[Placed, Compiled]]:
    """Yield what the stages of a chain compile, and what of the target that asks for."""
    if any(_TARGET.search(one.stage.base) for one in chain):
        return  # another image, with another compiler, for each platform
    scope = compiling.Scope(chain[-1].stage.base, build.case.args)
    for one in reversed(chain):
        own = one.stage.instructions
        for its in filter(None, map(scope.read, own)):
            yield one, its


def _unasked(build: _Build, stage: Stage, its: Compiled) -> tuple[str, str]:
    """Return in which way a compiler does not get the target, and what to write."""
    outside = sorted(build.arguments)
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


def _offered(build: _Build, platform: Platform) -> Iterator[int]:
    """Yield the stages whose files land in the image: its own, and those it copies from.

    What passes through a stage without ``RUN`` lands there too; a ``RUN`` may just use it.
    """
    placed = build.placed[platform]
    waiting = [one.stage.number for one in _image(build, platform)]
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
    parts = [stage.base, stage.platform]
    for one in stage.instructions:
        parts += [one.value, *one.heredocs]
    return "\n".join(parts)


def _joined(build: _Build) -> str:
    return listed(map(str, build.case.platforms))


def _architectures(text: str) -> Iterator[str]:
    """Yield the architectures that a text names, in whatever way."""
    for word in _NAME.findall(text.lower()):
        name = word.replace("-", "_")
        if name in _NAMES or name in _SHORT:
            yield _NAMES.get(name) or _SHORT[name]


def _in_path(path: str) -> tuple[str, str] | None:
    """Return the architecture that a path names, and the word that does it."""
    for word in _NAME.findall(path):
        name = word.lower().replace("-", "_")
        if name in _NAMES:
            return _NAMES[name], word
    short = _BEHIND_SYSTEM.search(path) or _AT_END.fullmatch(path.rstrip("/").rpartition("/")[2])
    return (_SHORT[short[1]], short[1]) if short else None


def _copied(build: _Build) -> Iterator[Finding]:
    for index, stage in build.stages.items():
        wanted = [
            platform
            for platform, needed in build.needed.items()
            if any(one.stage.number == index and one.platform == platform for one in needed)
        ]
        if len(wanted) < 2:
            continue
        copies = [(one, path) for one in stage.instructions for path in _copied_paths(one)]
        named = [(one, path, found) for one, path in copies for found in [_in_path(path)] if found]
        # All of them are there, for what runs to choose from.
        if {p.architecture for p in wanted} <= {found[0] for _, _, found in named}:
            continue
        for one, path, (architecture, word) in named:
            if all(p.architecture == architecture for p in wanted) or _chosen(stage, one.line):
                continue
            yield build.finding(
                "ArchitectureInCopy",
                stage,
                one.line,
                f"{one.keyword} {path}: the same file, for {architecture} by its name, lands in the "
                f"images for {listed(map(str, wanted))}",
                _by_target(build, one, path, word, is_go=word == architecture),
            )


def _by_target(build: _Build, copy: Instruction, path: str, word: str, *, is_go: bool) -> str:
    """Return how to copy each platform's own file; ``word`` is the architecture in its path."""
    before, _, behind = path.rpartition(word)
    joins = re.match(r"\w", behind)

    def named(name: str) -> str:
        return f"{copy.keyword} {before}{f'${{{name}}}' if joins else f'${name}'}{behind}"

    if is_go:
        return f"write ARG TARGETARCH and {named('TARGETARCH')}"
    target = build.case.target
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
    return any(_CHOICE.search("\n".join([one.value, *one.heredocs])) for one in behind)


def _uncached(build: _Build) -> Iterator[Finding]:
    platform = next(iter(build.placed))
    for stage in build.stages.values():
        for run, language in _languages(build, platform, stage):
            mounts = (flag for flag in run.flags if flag.startswith("--mount="))
            if any("type=cache" in m.partition("=")[2].split(",") for m in mounts):
                continue
            if language and language.cache:
                yield build.finding(
                    "NoCacheMount",
                    stage,
                    run.line,
                    f"this RUN compiles {language.name} without a cache mount: any change compiles all "
                    "anew",
                    f"write RUN {language.cache}",
                )
