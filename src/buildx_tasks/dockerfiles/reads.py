"""A Dockerfile's text in; every image and address from outside that its build reads, out. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks import references
from buildx_tasks.dockerfiles import stages
from buildx_tasks.dockerfiles.instructions import syntax
from buildx_tasks.dockerfiles.shell import expand
from buildx_tasks.dockerfiles.view import mounts, view_of
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Native, Platform

SYNTAX = "BUILDKIT_SYNTAX"  # the argument that names the frontend, whatever # syntax= says
IMAGE = "docker-image://"

_ADDRESS = re.compile(r"https?://|git://|ssh://|git@|github\.com/")
# What BuildKit takes for a repository; all else behind https:// is a file.
# Source: https://docs.docker.com/build/concepts/context/#git-repositories
_GIT = re.compile(r"(?:git://|ssh://|git@|github\.com/)|https?://[^#?]*\.git(?:[#?]|$)")

Kind = Literal["image", "git", "file"]


class Read(NamedTuple):
    """One thing from outside that a build reads, and the platforms that it is read for.

    ``reference`` is an image's, with the arguments filled in, or the address of a ``git`` repository
    or a ``file``; ``""`` where it cannot be known, and ``unknown`` says why. ``how`` is ``FROM``,
    ``COPY``, ``RUN``, ``ADD``, ``# syntax``, ``context``, or ``contexts.NAME``, and ``key`` the named
    context that can stand in its place (``""``: none, as a stage has that name). ``line`` and
    ``stage`` are those of the Dockerfile, 0 and ``""`` outside of it. No platforms: it is read for
    the builder itself.
    """

    kind: Kind
    reference: str
    how: str
    key: str = ""
    line: int = 0
    stage: str = ""
    platforms: tuple[Platform, ...] = ()
    unknown: str = ""

    @property
    def is_fixed(self) -> bool:
        """Whether it names its content: an image by digest, a repository by commit."""
        if self.kind == "git":
            return (
                re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", git_ref(self.reference)) is not None
            )
        return self.kind == "image" and "@" in self.reference


def reads(build: DockerfileBuild, text: str | None, native: Native) -> list[Read]:
    """Return what a build reads, in the order of the Dockerfile, each once for a line.

    ``text`` is the Dockerfile's, None where it is not here: what it names cannot be known then.
    What no platform needs is left out, as is what named contexts of this machine, or targets, replace.

    Raises:
        ValueError: the Dockerfile cannot be read; the message says which line.

    """
    found: dict[Read, dict[Platform, None]] = {}
    for one in _all(build, text, native):
        its = found.setdefault(one._replace(platforms=()), {})
        its.update(dict.fromkeys(one.platforms))
    return [one._replace(platforms=tuple(its)) for one, its in found.items()]


def git_ref(address: str) -> str:
    """Return the branch, tag or commit that a repository's address names, ``""`` for its default."""
    return address.partition("#")[2].partition(":")[0]


def _all(build: DockerfileBuild, text: str | None, native: Native) -> Iterator[Read]:
    context: str = build.attributes.get("context", ".")
    if _ADDRESS.match(context):
        yield _of_address(context, Read("git", "", "context", "context"), build.platforms)
    if text is None:
        why = "its Dockerfile is not here, and may read others"
        yield Read("image", "", "dockerfile", platforms=build.platforms, unknown=why)
        for key in build.contexts:
            yield from _of_context(build, key, build.platforms)
        return
    yield from _of_syntax(build, text)
    view = view_of(build, text, native)
    for platform, needed in view.needed.items():
        for one in needed:
            yield from _of_stage(view, platform, one)


def _of_syntax(build: DockerfileBuild, text: str) -> Iterator[Read]:
    named, line = syntax(text)
    if SYNTAX in build.args:
        named, line = build.args[SYNTAX], 0
    if named:
        yield _of_image(named, Read("image", "", "# syntax", "", line), ())._replace(key="")


def _of_stage(view: View, platform: Platform, one: Placed) -> Iterator[Read]:
    build, stage = view.build, one.stage
    names = {other.stage.name for other in view.placed[platform]}
    its = (one.platform,) if one.platform else ()
    if stage.name and (replaced := _context(build, stage.name, its)):
        yield from _of_context(build, replaced, its, stage)
        return
    if one.base is None:
        reference = expand(stage.base, view.values[platform])
        what = Read("image", "", "FROM", "", stage.line, stage.label)
        if not reference:
            why = f'"{stage.base}" comes to nothing: an ARG has no value'
            yield what._replace(unknown=why, platforms=its)
        elif reference.lower() != stages.SCRATCH:
            yield from _free(names, _of_name(build, reference, what, its))
    numbers = {str(other.stage.number) for other in view.placed[platform]}
    # An image that is only copied from is the target's, wherever the step itself runs.
    wanted = (platform,)
    for instruction in stage.instructions:
        what = Read("image", "", instruction.keyword, "", instruction.line, stage.label)
        known = names | numbers if instruction.keyword == "COPY" else names
        for name in _named(instruction):
            if name.lower() not in known and name.lower() != stages.SCRATCH:
                yield from _free(names, _of_name(build, name, what, wanted))
        if instruction.keyword == "ADD":
            yield from _of_add(instruction, what, wanted)


def _free(names: set[str], found: Iterator[Read]) -> Iterator[Read]:
    """Take the keys away that a stage has for its name: a context of that name would replace it."""
    for one in found:
        taken = one.key in names and not one.how.startswith("contexts.")
        yield one._replace(key="") if taken else one


def _named(instruction: Instruction) -> Iterator[str]:
    """Yield what an instruction takes files from: the names of stages, contexts and images."""
    if instruction.keyword == "COPY":
        for flag in instruction.flags:
            if flag.startswith("--from="):
                yield flag.partition("=")[2].strip("\"'")
    elif instruction.keyword == "RUN":
        yield from (mount["from"] for mount in mounts(instruction) if mount.get("from"))


def _of_add(instruction: Instruction, what: Read, its: tuple[Platform, ...]) -> Iterator[Read]:
    if any(flag.startswith("--checksum=") for flag in instruction.flags):
        return
    for source in (instruction.json or instruction.arguments.split())[:-1]:
        if _ADDRESS.match(source):
            yield _of_address(source, what, its)
        elif source.startswith("$"):
            why = f'"{source}" may be an address'
            yield what._replace(kind="file", unknown=why, platforms=its)


def _of_name(
    build: DockerfileBuild, name: str, what: Read, its: tuple[Platform, ...]
) -> Iterator[Read]:
    replaced = _context(build, name, its)
    if replaced:
        yield from _of_context(build, replaced, its, what)
    elif "$" in name:
        why = f'"{name}": no variable is filled in there; name a stage of that image'
        yield what._replace(unknown=why, platforms=its)
    else:
        yield _of_image(name, what, its)


def _context(build: DockerfileBuild, name: str, its: tuple[Platform, ...]) -> str | None:
    """Return the key of the named context that stands in place of a name; a platform's own is first."""
    shown = _key(name)
    found: dict[bool, str] = {}
    for key in build.contexts:
        bare, _, only = key.partition("::")
        if bare in (name, shown) and (not only or _same(only, its)):
            found[bool(only)] = key
    return found.get(True, found.get(False))


def _same(text: str, its: tuple[Platform, ...]) -> bool:
    try:
        return parse(text) in its
    except ValueError:
        return False


def _of_context(
    build: DockerfileBuild, key: str, its: tuple[Platform, ...], place: Stage | Read | None = None
) -> Iterator[Read]:
    """Yield what a named context reads from outside: at most one."""
    value = build.contexts[key]
    what = Read("image", "", f"contexts.{key}", key)
    if isinstance(place, Read):
        what = what._replace(line=place.line, stage=place.stage)
    elif place:
        what = what._replace(line=place.line, stage=place.label)
    if value.startswith(IMAGE):
        name = value[len(IMAGE) :]
        if name != stages.SCRATCH:
            yield _of_image(name, what, its)
    elif _ADDRESS.match(value):
        yield _of_address(value, what, its)


def _of_image(name: str, what: Read, its: tuple[Platform, ...]) -> Read:
    try:
        references.parse(name.partition("@")[0])
    except ValueError:
        why = f'"{name}" is no image reference'
        return what._replace(unknown=why, platforms=its)
    return what._replace(reference=name, key=what.key or _key(name), platforms=its)


def _of_address(address: str, what: Read, its: tuple[Platform, ...]) -> Read:
    kind: Kind = "git" if _GIT.match(address) else "file"
    return what._replace(kind=kind, reference=address, platforms=its)


def _key(name: str) -> str:
    """Return what BuildKit looks an image's name up as among the named contexts.

    Source: https://github.com/moby/buildkit/blob/master/frontend/dockerui/namedcontext.go
    """
    try:
        return references.familiar(name).removesuffix(":latest")
    except ValueError:
        return name
