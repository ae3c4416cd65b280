"""What builds read in; images that lack a platform they are needed for, out: told before a build."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.building import below
from buildx_tasks.building.below import Facts
from buildx_tasks.building.standing import name_of
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.dockerfiles.reads import reads
from buildx_tasks.errors import BuildError, ConfigError, listed
from buildx_tasks.language.lockfile import LOCK_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from buildx_tasks.building.resolving import Found, Resolved
    from buildx_tasks.building.standing import Reading, Standing
    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.reads import Read
    from buildx_tasks.language.lockfile import Pin
    from buildx_tasks.platforms import Native, Platform
    from buildx_tasks.workspace import Workspace

# What a machine of this architecture is given, too, where there is nothing better.
_ALSO = {"amd64": "386", "arm64": "arm"}


class Bases:
    """The platforms of images for lint. What cannot be known is left alone, with a note."""

    def __init__(self, resolved: Resolved, pins: Mapping[str, Pin] | None = None) -> None:
        self._resolved = resolved
        self._pins = pins or {}
        self._said: set[str] = set()

    def lacking(self, build: DockerfileBuild, text: str, native: Native) -> Iterator[Finding]:
        """Yield the images that lack a platform which the build needs them for.

        Raises:
            ValueError: the Dockerfile cannot be read.

        """
        for read in _images(reads(build, text, native)):
            there = self._platforms(read)
            for wanted in read.platforms if there is not None else ():
                if there is not None and not has(there, wanted):
                    message, fix = _words(build, read, wanted, there)
                    place = (build.file, read.line, read.stage)
                    yield Finding("BaseLacksPlatform", build.target, wanted, *place, message, fix)

    def settled(self, build: DockerfileBuild, text: str, native: Native) -> set[int]:
        """Return the lines whose base images are known, so that their names say nothing more.

        Raises:
            ValueError: the Dockerfile cannot be read.

        """
        asked = [one for one in _images(reads(build, text, native)) if one.how == "FROM"]
        return {one.line for one in asked if self._platforms(one) is not None}

    def _platforms(self, read: Read) -> frozenset[Platform] | None:
        reference, pin = read.reference, self._pins.get(name_of(read))
        found = self._resolved.platforms(f"{name_of(read)}@{pin.digest}" if pin else reference)
        if not isinstance(found, str):
            return found
        if reference not in self._said:
            self._said.add(reference)
            print(f"note: the platforms of {reference} are not known: {found}", file=sys.stderr)
        return None


class _Lack(NamedTuple):
    """An image without a platform that it is read for; ``is_index`` says that no build can be."""

    reading: Reading
    read: Read
    platform: Platform
    facts: Facts


def require_platforms(workspace: Workspace, standing: Standing) -> None:
    """Refuse to build where an image lacks a platform that it is read for, as far as that is known.

    An image without index is given to every platform by BuildKit: of that it is only told.

    Raises:
        BuildError: names image, line, and the platforms that it has.
        ConfigError: the lock pins one platform of an image of several.

    """
    wanted = {name_of(read) for one in standing.readings for read in _images(one.reads)}
    found = [one for name, one in standing.found.items() if one.digest and name in wanted]
    known = _facts(workspace, standing, found)
    lacks = [
        _Lack(reading, read, wanted, facts)
        for reading in standing.readings
        for read in _images(reading.reads)
        if (its := standing.of(read)) and (facts := known.get(its.digest))
        for wanted in read.platforms
        if not has(facts.platforms, wanted)
    ]
    lines: dict[str, None] = {}
    for lack in lacks:
        message, fix = _words(lack.reading.build, lack.read, lack.platform, lack.facts.platforms)
        line = f"{lack.reading.build.file}:{lack.read.line}: {message}"
        if lack.facts.is_index:
            lines[f"{line}; {fix}"] = None
            continue
        _refuse_single(standing, lack.read)
        print(f"note: {line}; BuildKit takes it all the same", file=sys.stderr, flush=True)
    if lines:
        raise BuildError("\n".join(lines))


def _refuse_single(standing: Standing, read: Read) -> None:
    """Refuse a pin of one platform's manifest, where the image has an index.

    Raises:
        ConfigError: at its line.

    """
    name = name_of(read)
    pin = (standing.pins or {}).get(name)
    if pin is None or standing.found[name].place != "lock":
        return
    if problem := single(pin.digest, standing.pulled.found(name)):
        raise ConfigError(f'{LOCK_FILE}:{pin.line}:1: "{name}" {problem}')


def single(digest: str, upstream: Found) -> str:
    """Return what is to be said of a pin that is one manifest, where its name has an index."""
    if not upstream.is_index:
        return ""
    name = upstream.name
    return (
        f"is pinned to the manifest of one platform, {digest}, and is an image of several; run "
        f"invoke lock --update {name}"
    )


def _facts(workspace: Workspace, standing: Standing, found: Iterable[Found]) -> dict[str, Facts]:
    """Return what is below each digest: what is known of one from earlier holds for ever."""
    known = below.remembered(workspace.ledger.folder)
    digests = {
        one.name if one.place == "store" else f"{one.name}@{one.digest}": one.digest
        for one in found
        if one.digest not in known
    }
    new = {}
    for name, facts in standing.resolved.facts(digests).items():
        if isinstance(facts, Facts):
            new[digests[name]] = facts
    if new and not workspace.commands.is_dry:
        below.remember(workspace.ledger.folder, {**known, **new})
    return {**known, **new}


def _images(found: Iterable[Read]) -> Iterator[Read]:
    return (one for one in found if one.kind == "image" and one.reference and one.platforms)


def _words(
    build: DockerfileBuild, read: Read, wanted: Platform, there: Iterable[Platform]
) -> tuple[str, str]:
    what = "base image" if read.how == "FROM" else "image"
    return (
        f"the {what} {read.reference} has no {wanted}; it has {listed(map(str, there))}",
        f"name an image that has it, or take {wanted} out of [target.{build.target}] platforms",
    )


def has(there: Iterable[Platform], wanted: Platform) -> bool:
    """Say whether an image of these platforms has what BuildKit takes for the wanted one."""
    return any(
        platforms.runs_natively(one, wanted)
        or (one.os == wanted.os and _ALSO.get(wanted.architecture) == one.architecture)
        for one in there
    )
