"""``ArchitectureInCopy``: a file with an architecture in its name in the images of several platforms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import architectures, compiling
from buildx_tasks.dockerfiles.view import chain_of, image_of, offered, runs
from buildx_tasks.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Platform

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@")
# What asks, in whatever way, which machine it is.
CHOICE = re.compile(
    r"\bTARGET(?:PLATFORM|ARCH|VARIANT)\b|\buname\s+-m|--print-(?:foreign-)?arch|\bGOARCH\b|"
    r"\$\(arch\)|\barch\)|\bgo env\b"
)
# Sources and texts are the same on every machine.
_TEXT = re.compile(
    r".*\.(?:s|S|asm|c|cc|cpp|h|hpp|inc|go|rs|py|rb|js|ts|java|md|txt|rst|json|ya?ml|toml|conf|cfg|ini|"
    r"xml|html?|css|patch|diff|asc|gpg|sig|pem|crt|pub|sha\d+|sha\d+sums?|md5|cmake|mk|dts|ld|lock|"
    r"noarch\.rpm|_all\.deb)"
)


_EMULATOR = re.compile(r".*qemu-[\w${}*-]+")  # named by what it emulates


def is_text(path: str) -> bool:
    """Say whether a file is a text by its name, which no machine executes, or named by another one."""
    plain = path.partition("?")[0]
    return bool(_TEXT.fullmatch(plain) or _EMULATOR.fullmatch(plain.rpartition("/")[2]))


def lands(view: View, platform: Platform, index: int) -> bool:
    """Say whether a stage's files are in the image: it is it, or is only copied from."""
    if index in {one.stage.number for one in image_of(view, platform)}:
        return True
    stage = view.placed[platform][index].stage
    return index in set(offered(view, platform)) and not any(runs(stage))


def copied(view: View) -> Iterator[Finding]:
    """Yield a finding for each ``COPY`` or ``ADD`` of one architecture's file."""
    for index, stage in view.stages.items():
        wanted = [
            platform
            for platform, needed in view.needed.items()
            if any(one.stage.number == index and one.platform == platform for one in needed)
            and lands(view, platform, index)
        ]
        if len(wanted) < 2:
            continue
        copies = [
            (one, path)
            for one in stage.instructions
            for path in _copied_paths(one)
            if not _is_made(view, wanted[0], one, path)
        ]
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


def _by_target(view: View, copy: Instruction, path: str, word: str, *, is_go: bool) -> str:
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
    wanted = [word for word in words[:-1] if "$TARGET" not in word and "${TARGET" not in word]
    # What keeps its folder is a source tree, and is not picked for the image.
    folder = words[-1].strip("/.").lower() if len(words) == 2 else "-"
    return [word for word in wanted if not is_text(word) and word.strip("/.").lower() != folder]


def _is_made(view: View, platform: Platform, copy: Instruction, path: str) -> bool:
    """Say whether the stage that it is copied from made the folder: other rules judge what is in it."""
    sources = [flag.partition("=")[2].lower() for flag in copy.flags if flag.startswith("--from=")]
    found = architectures.in_path(path)
    if not sources or not found:
        return False
    part = next(one for one in path.split("/") if found[1] in one)
    return any(
        part in compiling.text(instruction)
        for one in view.placed[platform]
        if sources[0] in {one.stage.name, str(one.stage.number)}
        for link in chain_of(view.placed[platform], one.stage.number)
        for instruction in runs(link.stage)
    )


def _chosen(stage: Stage, line: int) -> bool:
    """Say whether something behind a line chooses by the platform, or compiles what was copied."""
    behind = [one for one in stage.instructions if one.line > line and one.keyword != "ARG"]
    return any(
        CHOICE.search(compiling.text(one)) or (one.keyword == "RUN" and compiling.language(one))
        for one in behind
    )
