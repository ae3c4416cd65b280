"""``NoCacheMount`` and ``SharedCacheMount``: what compilers keep, and for which platform."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import asking, compiling
from buildx_tasks.dockerfiles.view import (
    brings_sources,
    chain_of,
    languages,
    mounts,
    stage_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.compiling import Language
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Platform

# What keeps things by the names of what they are, so that platforms do not meet in it.
_BY_NAME = re.compile(
    r"go-build|pkg/mod|npm|yarn|pnpm|\.m2|\.gradle|registry|\.?cargo(?:/git(?:/db)?)?/?$|composer|"
    r"\.nuget|\.cache/|\.cache$|conan|vcpkg|sccache|bundle|/apk|/apt|/dnf|/yum|/tmp|/go/?$|downloads?/?$"
)
_C_TOOLS = frozenset({"autoreconf", "cmake", "configure", "gmake", "make", "meson", "ninja"})
_PACKAGERS = frozenset({"apt", "apt-get", "dnf", "microdnf", "yum"})
_PACKAGES = re.compile(r"/var/(?:cache|lib)/(?:apt|dnf|yum)")
_ID = re.compile(r"\$\{?(TARGET(?:PLATFORM|ARCH|VARIANT))\b")
_APART = "nothing"  # is missing to the id


def uncached(view: View) -> Iterator[Finding]:
    """Find what compiles all anew after any change of the sources."""
    platform = next(iter(view.placed))
    for stage in view.stages.values():
        chain = chain_of(view.placed[platform], stage.number)
        for run, language in languages(view, platform, stage):
            if any(one.get("type") == "cache" for one in mounts(run)):
                continue
            if language and language.cache and _has_sources(chain, run):
                yield view.finding(
                    "NoCacheMount",
                    stage,
                    run.line,
                    f"this RUN compiles {language.name} without a cache mount: any change compiles all "
                    "anew",
                    f"write RUN {language.cache}",
                )


def _has_sources(chain: Sequence[Placed], run: Instruction) -> bool:
    """Say whether sources are there by then; without any, the layer itself is the cache."""
    return any(
        brings_sources(one)
        for link in chain
        for one in link.stage.instructions
        if one.line <= run.line or link is not chain[0]
    )


def shared(view: View) -> Iterator[Finding]:
    """Find cache mounts in which what one platform built meets what another one builds."""
    for index, stage in view.stages.items():
        where = {
            platform: one
            for platform, needed in view.needed.items()
            for one in needed
            if one.stage.number == index
        }
        platform = next(iter(where))
        chain = chain_of(view.placed[platform], index)
        machines = {one.platform for one in where.values()}
        if len(where) < 2 or None in machines or not (len(machines) > 1 or _crosses(view, chain)):
            continue
        text = "\n".join(stage_text(one.stage) for one in chain)
        for run, language in languages(view, platform, stage):
            for mount in mounts(run):
                why = _mixes(run, language, mount, text) if mount.get("type") == "cache" else None
                if not why or (why[0] and len(machines) == 1):
                    continue
                fix = _apart(chain, run, mount, tuple(where)) or why[2]
                if fix != _APART:
                    message = f"the cache mount {mount['target']} is one for {view.names}: {why[1]}"
                    yield view.finding("SharedCacheMount", stage, run.line, message, fix)


def _crosses(view: View, chain: Sequence[Placed]) -> bool:
    """Say whether a stage on one machine makes C for each target: its objects carry no platform."""
    return any(
        its.asks == "target" and its.language in (compiling.C, compiling.CCACHE)
        for _, its in asking.compiled_in(chain, view.build.args)
    )


def _mixes(
    run: Instruction, language: Language | None, mount: Mapping[str, str], text: str
) -> tuple[bool, str, str] | None:
    """Return what platforms mix in a cache: only where the stage runs on each, why, and the fix."""
    folder = mount["target"]
    name = folder.rstrip("/").rpartition("/")[2]
    tools = {command[0].rpartition("/")[2] for command in compiling.run_commands(run)}
    mine = mount.get("id") or folder.strip("/").replace("/", "-")
    fix = f"write id={mine}-$TARGETPLATFORM in the mount, with ARG TARGETPLATFORM in the stage before it"
    if language is compiling.RUST and (name == "target" or f"CARGO_TARGET_DIR={folder}" in text):
        return True, "cargo takes what another platform built there for its own", fix
    if "ccache" in folder or f"CCACHE_DIR={folder}" in text:
        return False, "ccache may give one platform's objects to another", fix
    if language is compiling.WHEELS and ("pip" in folder or "wheel" in folder):
        return True, "it keeps the wheels that each platform built", fix
    if "apk" in tools and "apk" in folder:
        return True, "apk's lists there carry no architecture", fix
    if tools & _PACKAGERS and _PACKAGES.search(folder):
        if mount.get("sharing") in {"locked", "private"}:
            return None  # their files carry the architecture
        return (
            True,
            "packagers of several platforms in it at once fail on its lock",
            ("write sharing=locked in the mount"),
        )
    if tools & _C_TOOLS and not _BY_NAME.search(folder):
        return False, "a build folder takes what another platform built there for its own", fix
    return None


def _apart(
    chain: Sequence[Placed], run: Instruction, mount: Mapping[str, str], where: Sequence[Platform]
) -> str:
    """Return what is missing to an id for each platform; ``""`` where there is no such id."""
    named = mount.get("id") or mount["target"]
    found = _ID.findall(named)
    if not found:
        return ""
    declared = {
        word.partition("=")[0]
        for link in chain
        for one in link.stage.instructions
        if one.keyword == "ARG" and (link is not chain[0] or one.line < run.line)
        for word in one.value.split()
    }
    missing = [name for name in found if name not in declared]
    if missing:
        return f"write ARG {missing[0]} in the stage before it: it is empty there"
    enough = {"TARGETPLATFORM", "TARGETVARIANT"}.intersection(found)
    if not enough and len({one.architecture for one in where}) < len(where):
        return "write $TARGETPLATFORM in the id: $TARGETARCH is one for several variants"
    return _APART
