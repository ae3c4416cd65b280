"""A Dockerfile that compiles under emulation in; one that compiles natively out, or why not.

Only what is understood as a whole is changed: a stage whose every step is known, whose compiler can be
told the platform, and of which nothing is taken but what it made. Anything else is left alone, with the
reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles import compiling, cross, knowing, rules, stages
from buildx_tasks.dockerfiles.editing import Edits
from buildx_tasks.dockerfiles.view import image_of, languages, mounts, view_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Native

# What this mends; other findings stay as they are.
CODES = frozenset({"EmulatedCompile", "NoCacheMount", "SharedCacheMount", "TargetPlatformUnused"})
_UNTOLD = frozenset({"EmulatedCompile", "TargetPlatformUnused"})
_GO = re.compile(r"(?<![\w/.$-])go(?=(?:\s|\\\n)+build\b)")
_CARGO = re.compile(r"(?<![\w/.$-])cargo(?:\s|\\\n)+build\b(?:\\\n|[^&|;\n])*")
# Stages that nobody takes an image of.
_RUN_FOR_THEMSELVES = frozenset("check checks lint test tests unit unit-tests".split())
_RUN = re.compile(r"(?i)^(\s*RUN)\s+")
_GOARCH = re.compile(
    r"(?<![\w$])GOARCH=[\"']?(?:amd64|arm64|arm|386|riscv64|ppc64le|s390x)[\"']?(?![\w$])"
)
_GO_ARGS = "ARG TARGETOS TARGETARCH TARGETVARIANT"
_CC = '"$(. /cross/names && echo $gnu-{})"'


_ESCAPE = re.compile(r"\A(?:[ \t]*#[^\n]*\n)*?[ \t]*#[ \t]*escape[ \t]*=[ \t]*`", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?<![\w$])(GOOS=[\"']?(?!linux\b)[a-z]\w*|GOARCH=[\"']?wasm)")


class Left(NamedTuple):
    """Something that lint found, and that is left alone."""

    line: int
    reason: str


class Fixed(NamedTuple):
    """The Dockerfile's new text, and what of it is left alone."""

    text: str
    left: tuple[Left, ...]


class _NotUnderstoodError(Exception):
    """The line, and why what stands there is left alone."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.left = Left(line, reason)


def fix(build: DockerfileBuild, text: str, native: Native) -> Fixed:
    """Return a Dockerfile that compiles natively where that is certain to make the same.

    Raises:
        ValueError: it cannot be read.

    """
    found = _found(build, text, native)
    left: dict[Left, None] = {}
    for root in _roots(view_of(build, text, native), found):
        try:
            changed = _fixed(build, text, native, root)
        except _NotUnderstoodError as error:
            left[error.left] = None
            continue
        text = changed
    return Fixed(text, tuple(left))


def _found(build: DockerfileBuild, text: str, native: Native) -> list[Finding]:
    return [one for one in rules.check(build, text, native) if one.code in CODES]


def _roots(view: View, found: Sequence[Finding]) -> list[str]:
    """Return the labels of the stages at the bottom of those that something was found in."""
    labels = {one.stage for one in found}
    roots: dict[str, None] = {}
    for placed in view.placed.values():
        for one in placed:
            if one.stage.label in labels:
                chain = _chain(placed, one.stage.number)
                roots[chain[-1].label] = None
    return list(roots)


def _chain(placed: Sequence[stages.Placed], number: int) -> list[Stage]:
    found = [placed[number]]
    while found[-1].base is not None:
        found.append(placed[found[-1].base])
    return [one.stage for one in found]


def _fixed(build: DockerfileBuild, text: str, native: Native, label: str) -> str:
    view = view_of(build, text, native)
    platform, placed = next(iter(view.placed.items()))
    root = next(one.stage for one in placed if one.stage.label == label)
    family = [
        one.stage for one in placed if _chain(placed, one.stage.number)[-1].number == root.number
    ]
    inside = {one.number for one in family}
    if inside & {one.stage.number for one in image_of(view, platform)}:
        compiled = [
            run.line for one in family for run, its in languages(view, platform, one) if its
        ]
        raise _NotUnderstoodError(
            (compiled or [root.line])[0],
            "it compiles in the image itself; move that into a stage of its own, and COPY --from it",
        )
    needed = {one.stage.number for one in view.needed[platform]}
    for stage in family:
        if stage.number not in needed and stage.name not in _RUN_FOR_THEMSELVES:
            reason = f"stage {stage.label} starts from it too, and may be an image of its own"
            raise _NotUnderstoodError(stage.line, reason)
    if _ESCAPE.match(text):
        raise _NotUnderstoodError(1, "its lines go on with ` and not with a backslash")
    its = _language(view, family)
    kind = knowing.kind_of(family, its)
    if isinstance(kind, str):
        raise _NotUnderstoodError(root.line, kind)
    _require_understood(view, family, kind)
    edits = Edits(text)
    labels = {stage.label for stage in family}
    if any(one.code in _UNTOLD and one.stage in labels for one in _found(build, text, native)):
        _pin(edits, root)
        _tell(edits, view, family, its, kind)
    _keep(edits, view, family, kind)
    changed = edits.text()
    known = {(one.code, one.stage, one.platform) for one in rules.check(build, text, native)}
    for one in rules.check(build, changed, native):
        if one.stage in labels and one.code in CODES:
            raise _NotUnderstoodError(one.line, f"{one.code} would stay: {one.message}")
        if (one.code, one.stage, one.platform) not in known:
            raise _NotUnderstoodError(one.line, f"{one.code} would come: {one.message}")
    return changed


def _language(view: View, family: Sequence[Stage]) -> compiling.Language:
    """Return the one language that the stages compile."""
    platform = next(iter(view.placed))
    found = {
        its.name: (its, run)
        for stage in family
        for run, its in languages(view, platform, stage)
        if its
    }
    if not found:
        raise _NotUnderstoodError(family[0].line, "what it compiles is not known")
    its, run = next(iter(found.values()))
    if len(found) > 1:
        raise _NotUnderstoodError(run.line, f"it compiles {' and '.join(found)}; give each a stage")
    return its


def _require_understood(view: View, family: Sequence[Stage], kind: knowing.Kind) -> None:
    """Do nothing where every step is known, and nothing is taken but what they make."""
    if kind.crosses and (none := cross.lacking(view.build.platforms)):
        reason = f"Debian has no cross compiler for {', '.join(none)}"
        raise _NotUnderstoodError(family[0].line, reason)
    everything = [one.stage for one in next(iter(view.placed.values()))]
    known = {name for one in everything for name in (one.name, str(one.number))}
    for stage in family:
        if stage.platform and "BUILDPLATFORM" not in stage.platform:
            raise _NotUnderstoodError(stage.line, f"it is pinned to {stage.platform}")
        for one in stage.instructions:
            if reason := knowing.unknown(one, kind, known):
                raise _NotUnderstoodError(one.line, reason)
    names = {name: stage for stage in family for name in (stage.name, str(stage.number)) if name}
    made = knowing.made(family)
    for other in everything:
        if other.number in {stage.number for stage in family}:
            continue
        for one in other.instructions:
            for reason in filter(None, knowing.taken(one, names, made, kind)):
                raise _NotUnderstoodError(one.line, reason)


def _pin(edits: Edits, root: Stage) -> None:
    if not root.platform:
        edits.replace(root.line, re.compile(r"(?i)^(\s*FROM)\s+"), r"\1 --platform=$BUILDPLATFORM ")


def _tell(
    edits: Edits,
    view: View,
    family: Sequence[Stage],
    its: compiling.Language,
    kind: knowing.Kind,
) -> None:
    """Tell the compiler its platform."""
    platform = next(iter(view.placed))
    has_args: set[int] = set()
    if kind.crosses:
        steps = {compiling.RUST: cross.CARGO, compiling.C: cross.IN_FRONT}.get(its, "")
        edits.behind(family[0].line, cross.steps() + steps)
    for stage in family:
        for one in stage.instructions:
            if one.keyword == "ENV" and _GOARCH.search(one.value):
                edits.before(one.line, _GO_ARGS)
                edits.replace(one.line, _GOARCH, "GOARCH=$TARGETARCH")
                has_args.add(stage.number)
        for run, language in languages(view, platform, stage):
            if language is compiling.GO:
                if stage.number not in has_args:
                    edits.before(run.line, _GO_ARGS)
                    has_args.add(stage.number)
                _go(edits, family, run, kind)
            elif language is compiling.RUST:
                found = _CARGO.search(edits.of(run.line))
                if not found:
                    raise _NotUnderstoodError(run.line, "cargo build is not found in plain words")
                is_release = re.search(r"\s(?:--release|-r)\b", found[0])
                by = _copied(found[0], "release" if is_release else "debug")
                edits.replace(run.line, _CARGO, by)
            elif language and kind.crosses and stage is not family[0]:
                edits.before(run.line, "ARG TARGETPLATFORM TARGETARCH")


def _go(edits: Edits, family: Sequence[Stage], run: Instruction, kind: knowing.Kind) -> None:
    edits.replace(run.line, _GOARCH, "GOARCH=$TARGETARCH")
    env = " ".join(
        one.value for stage in family for one in stage.instructions if one.keyword == "ENV"
    )
    said = f"{_GOARCH.sub('GOARCH=$TARGETARCH', env)} {edits.of(run.line)}"
    if elsewhere := _ELSEWHERE.search(said):
        raise _NotUnderstoodError(run.line, f"it compiles for {elsewhere[1]} on each platform")
    told = {
        "CGO_ENABLED": "1" if kind.crosses else "0",
        "GOOS": "$TARGETOS",
        "GOARCH": "$TARGETARCH",
        "GOARM": "${TARGETVARIANT#v}",
    }
    if kind.crosses:
        told.update(CC=_CC.format("gcc"), CXX=_CC.format("g++"))
    words = "".join(f"{name}={value} " for name, value in told.items() if f"{name}=" not in said)
    edits.replace(run.line, _GO, f"{words}go")


def _keep(edits: Edits, view: View, family: Sequence[Stage], kind: knowing.Kind) -> None:
    """Give what compiles a cache, and one for each platform where they would meet in it."""
    platform = next(iter(view.placed))
    for stage in family:
        for run, language in languages(view, platform, stage):
            _apart(edits, run)
            has_one = any(one.get("type") == "cache" for one in mounts(run))
            if language and kind.cache and not has_one:
                edits.replace(run.line, _RUN, rf"\1 {kind.cache} \\\n    ")


def _copied(words: str, release: str) -> str:
    """Return cargo's command, and what puts the programs where they would be without a triple."""
    tail = (
        f" && . /cross/names && mkdir -p target/{release} && "
        f"find target/$triple/{release} -maxdepth 1 -type f -perm -100 "
        f"-exec cp {{}} target/{release}/ ';' "
    )
    return (words.rstrip(" \t\\\n") + tail).replace("\\", "\\\\")  # of a pattern's result


def _apart(edits: Edits, run: Instruction) -> None:
    """Give a cache mount of cargo's target folder one folder for each platform."""
    for mount in mounts(run):
        name = mount["target"].rstrip("/").rpartition("/")[2]
        if (
            mount.get("type") == "cache"
            and name == "target"
            and "TARGET" not in mount.get("id", "")
        ):
            if "id" in mount:
                raise _NotUnderstoodError(run.line, "its cache has an id, which others may share")
            place = re.compile(
                rf"((?:target|dst|destination)={re.escape(mount['target'])})(?=[,\s])"
            )
            edits.replace(run.line, place, r"\1,id=target-$TARGETPLATFORM")
            edits.before(run.line, "ARG TARGETPLATFORM")
