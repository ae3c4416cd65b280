"""``ArchitectureInRun``, ``…InFrom``, ``…InArg``: one architecture by name, where several are built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles import architectures, compiling
from buildx_tasks.dockerfiles.copying import CHOICE, is_text
from buildx_tasks.dockerfiles.shell import expand
from buildx_tasks.dockerfiles.view import chain_of, image_of, mounts, offered
from buildx_tasks.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Platform

_DOWNLOADS = re.compile(r"\b(?:curl|wget|aria2c|axel|rpm|dnf|microdnf|yum|zypper|pip3?)\b")
_PLACE = re.compile(
    r"(?:(?:https?|ftp)://[^\s/\"'\\;|&<>]+|(?<=[\s\"'=])\$\{?\w+\}?)(/[^\s\"'\\;|&<>]*)"
)
_REPOSITORY = re.compile(r"/[^/]+/[^/]+(?=/(?:releases|raw|archive|download)/)")
_DEB = re.compile(r"\bdeb(?:-src)? \[[^\]\n]{0,200}?\barch=([a-z0-9]+)[\s\]]")
_LITERAL = re.compile(r"(?<![\w$.-])([A-Za-z_]\w*)=[\"']?([\w.-]+)[\"']?(?=[\s;&])")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_GIVEN = re.compile(r"(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)")
_TRIPLE = re.compile(
    r"(?:(?:unknown-)?linux[-_/])?[\w.]+(?:[-_](?:unknown[-_])?(?:linux|gnu|musl)[\w-]*)?"
)


class _Name(NamedTuple):
    """An architecture that is named, where, and by which word."""

    code: str
    line: int
    what: str
    architecture: str
    word: str
    variable: str = ""


def named(view: View) -> Iterator[Finding]:
    """Yield a finding for each name of one architecture that other platforms get as well."""
    found: dict[_Name, tuple[Stage, list[Platform]]] = {}
    for platform, needed in view.needed.items():
        for one in needed:
            for name in _names(view, platform, one):
                if not _fits(name.architecture, platform):
                    found.setdefault(name, (one.stage, []))[1].append(platform)
    for name, (stage, wanted) in found.items():
        foreign = listed(dict.fromkeys(map(str, wanted)))
        message = f"{name.what}: for {name.architecture} by its name, and so is what {foreign} gets"
        yield view.finding(name.code, stage, name.line, message, _fix(view, name))


def _fits(architecture: str, platform: Platform) -> bool:
    # A CPU for amd64 runs what is for 386.
    return architecture == platform.architecture or (architecture, platform.architecture) == (
        "386",
        "amd64",
    )


def _fix(view: View, name: _Name) -> str:
    by_go = name.word == name.architecture
    if name.code == "ArchitectureInFrom":
        return (
            "name an image of several platforms, without the architecture; where there is none, one "
            "stage for each, as in FROM … AS base-amd64, and FROM base-$TARGETARCH"
        )
    if _GIVEN.fullmatch(name.variable):
        if name.variable in view.build.args:
            return f"take {name.variable} out of args in [target.{view.build.target}]: BuildKit gives it"
        return f"write ARG {name.variable} without a value: BuildKit gives it"
    if name.variable:
        target = view.build.target
        own = f'set {name.variable} in [target.{target}.platform."OS/ARCH"] args for each platform'
        return (
            f"write $TARGETARCH instead, with ARG TARGETARCH in the stage; or {own}"
            if by_go
            else own
        )
    if by_go:
        return f"write $TARGETARCH instead of {name.word}, with ARG TARGETARCH in the stage"
    return (
        "declare ARG TARGETARCH in the stage, and choose by it what the file is called: case "
        f"$TARGETARCH in {name.architecture}) name={name.word};; … esac"
    )


def _names(view: View, platform: Platform, one: Placed) -> Iterator[_Name]:
    if not _counts(view, platform, one):
        return
    values = view.values[platform]
    if one.base is None and one.platform == platform:
        yield from _from(view, one.stage, values)
    if one.platform == platform:
        yield from _sources(view, one)
    env: dict[str, str] = {}
    for link in reversed(chain_of(view.placed[platform], one.stage.number)):
        for instruction in link.stage.instructions:
            if instruction.keyword == "ENV":
                env.update(_pairs(instruction))
            elif instruction.keyword == "RUN" and link is one:
                yield from _downloads(instruction, env)
            elif instruction.keyword == "ARG" and link is one:
                yield from _arguments(view, one.stage, instruction)


def _counts(view: View, platform: Platform, one: Placed) -> bool:
    """Say whether a stage is each platform's own, or another one that only fetches what lands there."""
    if one.platform == platform:
        return platform.os == "linux"
    chain = chain_of(view.placed[platform], one.stage.number)
    if one.stage.number not in set(offered(view, platform)):
        return False
    own = [instruction for link in chain for instruction in link.stage.instructions]
    if one.stage.number in {link.stage.number for link in image_of(view, platform)}:
        return False  # FinalStagePinned says it
    return not any(
        i.keyword in {"ADD", "COPY"} or (i.keyword == "RUN" and compiling.language(i)) for i in own
    )


def _from(view: View, stage: Stage, values: Mapping[str, str]) -> Iterator[_Name]:
    try:
        reference = expand(stage.base, values)
    except ValueError:
        return
    if stage.base in view.build.contexts or reference in view.build.contexts:
        return
    found = architectures.of_image(reference)
    if not found:
        return
    architecture, word = found
    if word in stage.base:
        yield _Name("ArchitectureInFrom", stage.line, f"FROM {stage.base}", architecture, word)
        return
    for name, value in values.items():
        if (
            word in value
            and f"${name}" in stage.base.replace("{", "")
            and not _GIVEN.fullmatch(name)
        ):
            what = f"{name}={value}, and FROM {stage.base}"
            line = next((a.line for a in view.before if name in _pairs(a)), stage.line)
            if name in view.build.args:
                what = f"args has {what}"
            yield _Name("ArchitectureInArg", line, what, architecture, word, name)


def _sources(view: View, one: Placed) -> Iterator[_Name]:
    """Yield the images that files are taken from."""
    names = {stage.name for stage in view.stages.values()} | set(view.build.contexts)
    for instruction in one.stage.instructions:
        flags = [f.partition("=")[2] for f in instruction.flags if f.startswith("--from=")]
        if instruction.keyword == "RUN":
            flags = [one.get("from", "") for one in mounts(instruction)]
        for source in flags:
            found = None if source.lower() in names else architectures.of_image(source)
            if found:
                what = f"{instruction.keyword} from {source}"
                yield _Name("ArchitectureInFrom", instruction.line, what, *found)


def _pairs(instruction: Instruction) -> dict[str, str]:
    words = [
        word.partition("=") for word in re.findall(r"(?:\"[^\"]*\"|[^\s\"])+", instruction.value)
    ]
    return {name: value.strip("\"'") for name, given, value in words if given}


def _downloads(run: Instruction, env: Mapping[str, str]) -> Iterator[_Name]:
    """Yield what a ``RUN`` downloads by a fixed name, where nothing in it chooses."""
    script = _COMMENT.sub("", compiling.text(run))
    if CHOICE.search(script):
        return
    script = _filled(script, env)
    script = _filled(script, dict(_LITERAL.findall(script)))
    for architecture in _DEB.findall(script):
        known = architectures.in_path(architecture)
        if known:
            yield _Name("ArchitectureInRun", run.line, f"deb [arch={architecture}]", *known)
            return
    if not _DOWNLOADS.search(script):
        return
    found: dict[str, tuple[str, str]] = {}
    for path in _PLACE.findall(script):
        plain = _REPOSITORY.sub("", path)
        its = architectures.in_path(plain)
        if its and not is_text(path) and len(architectures.long_names(plain)) <= 1:
            found.setdefault(its[0], (path, its[1]))
    if len(found) == 1:
        ((architecture, (path, word)),) = found.items()
        what = f"RUN downloads …{path[-60:]}"
        yield _Name("ArchitectureInRun", run.line, what, architecture, word)


def _filled(script: str, values: Mapping[str, str]) -> str:
    """Return a script with what is known of its variables."""
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), script)


def _arguments(view: View, stage: Stage, argument: Instruction) -> Iterator[_Name]:
    """Yield the arguments that come to one architecture's name, and that files are picked by."""
    without = {word: "" for word in argument.value.split() if "=" not in word}
    for name, default in {**without, **_pairs(argument)}.items():
        value = view.build.args.get(name, default)
        found = architectures.in_path(value) if _TRIPLE.fullmatch(value) else None
        is_given = _GIVEN.fullmatch(name) is not None
        if not found or (is_given and name.startswith("BUILD")):
            continue
        used = re.compile(rf"\$(?:{name}\b|{{{name}\W)")
        uses = [
            one
            for one in stage.instructions
            if one.line > argument.line and used.search(compiling.text(one))
            if one.keyword in {"ADD", "COPY"} or _picks(one, chosen_by_it=is_given)
        ]
        if uses:
            given = "args has" if name in view.build.args else "ARG"
            what = f"{given} {name}={value}, and {uses[0].keyword} in line {uses[0].line} uses it"
            yield _Name("ArchitectureInArg", argument.line, what, *found, name)


def _picks(instruction: Instruction, *, chosen_by_it: bool) -> bool:
    if instruction.keyword != "RUN" or compiling.language(instruction):
        return False
    return chosen_by_it or not CHOICE.search(compiling.text(instruction))
