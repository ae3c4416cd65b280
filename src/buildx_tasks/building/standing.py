"""A plan, the lock and a builder in; what each base stands for in this run, out."""

from __future__ import annotations

import fnmatch
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms, references
from buildx_tasks.builders import choice
from buildx_tasks.builders.capability import local_text
from buildx_tasks.building.resolving import Found, Resolved
from buildx_tasks.dockerfiles.reads import IMAGE, SYNTAX, Read, reads
from buildx_tasks.dockerfiles.view import image_of, view_of
from buildx_tasks.engine import settings
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.language.lockfile import LOCK_FILE
from buildx_tasks.language.targets import platform_helper
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.lockfile import Pin
    from buildx_tasks.planning.cells import Selected
    from buildx_tasks.platforms import Native
    from buildx_tasks.workspace import Workspace

_LABELS = "org.opencontainers.image.base."


class Reading(NamedTuple):
    """One Dockerfile to be built, and what it reads; ``why`` says why that cannot be known."""

    build: DockerfileBuild
    reads: tuple[Read, ...]
    text: str | None
    why: str = ""

    @property
    def names(self) -> list[str]:
        """What bake calls the targets that are built of it."""
        build = self.build
        if build.name == build.target:
            return [build.name]
        return [platform_helper(build.target, platform) for platform in build.platforms]


def readings(workspace: Workspace, plan: Selected, builder: Builder | None) -> list[Reading]:
    """Return what the Dockerfiles of a plan read; none is fetched for it."""
    native = _native(workspace, builder)
    return [_reading(workspace.root, build, native) for build in dockerfile_builds(plan)]


def _reading(root: Path, build: DockerfileBuild, native: Native) -> Reading:
    text = local_text(build, root)
    try:
        return Reading(build, tuple(reads(build, text, native)), text)
    except ValueError as error:  # BuildKit says it, or has another frontend
        return Reading(build, (), text, str(error))


def _native(workspace: Workspace, builder: Builder | None) -> Native:
    """Return what ``$BUILDPLATFORM`` is taken for: the engine's own, none where nodes are elsewhere."""
    if builder and (builder.driver not in choice.ENGINES or builder.endpoint or builder.node):
        return lambda _: False
    here = platforms.host_platform()
    if settings.chosen():
        with suppress(BuildxTasksError):
            here = workspace.engine.platform
    return lambda platform: platforms.runs_natively(platform, here)


def name_of(read: Read) -> str:
    """Return the name of what is read as ``buildx.lock`` has it: an image's, or the address."""
    return references.familiar(read.reference) if read.kind == "image" else read.reference


def is_hidden(read: Read) -> bool:
    """Say whether an image cannot be pinned, for a stage has its name."""
    named = read.kind == "image" and bool(read.reference) and not read.is_fixed
    return named and not read.key and read.how != "# syntax"


def own_tags(workspace: Workspace) -> frozenset[str]:
    """Return the names that the project's own images have."""
    found = set()
    for target in workspace.config.target.values():
        for tag in target.tags:
            with suppress(ValueError):
                found.add(references.familiar(tag))
    return frozenset(found)


def is_excluded(workspace: Workspace, name: str) -> bool:
    """Say whether ``[lock] exclude`` leaves a name out."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in workspace.config.lock.exclude)


class Standing:
    """What the bases of one run stand for: the lock's pins, else what the builder would take now.

    Everything that is built in the run is built from it, so it never mixes two of one name.
    ``pull`` is what the person asked for; without ``asks`` nothing is resolved, and only the lock
    counts. ``native`` says what ``$BUILDPLATFORM`` is taken for.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: Selected,
        builder: Builder | None,
        *,
        pull: bool = False,
        locked: bool = True,
        asks: bool = True,
    ) -> None:
        self._workspace = workspace
        self.builder = builder
        self.pins: Mapping[str, Pin] | None = workspace.pins if locked else None
        self.native = _native(workspace, builder)
        self.readings = readings(workspace, plan, builder)
        self._own = own_tags(workspace)
        self.is_pulled = pull
        self.found: dict[str, Found] = {}
        self._resolve(asks=asks)

    def _resolve(self, *, asks: bool) -> None:
        pulled: dict[str, None] = {}
        others: dict[str, None] = {}
        for reading in self.readings:
            pulls = self.is_pulled or reading.build.attributes.get("pull") is True
            for read in reading.reads:
                if not read.reference or read.kind == "file" or read.is_fixed:
                    continue
                name = name_of(read)
                if self.pins is not None and name in self.pins:
                    pin = self.pins[name]
                    self.found[name] = Found(name, "lock", pin.digest)
                elif read.kind == "image" and asks and name not in self._own:
                    (pulled if pulls else others)[name] = None
        # What one target pulls, the others of the run get too.
        rest = [name for name in others if name not in pulled]
        if pulled:
            self.found.update(self.pulled.look(pulled))
        if rest:
            self.found.update(self.resolved.look(rest))

    @cached_property
    def resolved(self) -> Resolved:
        """What the builder takes for a name, as long as nothing is to be pulled."""
        return Resolved(self._workspace, self.builder)

    @cached_property
    def pulled(self) -> Resolved:
        """What the builder takes for a name where it is to look for newer ones."""
        return Resolved(self._workspace, self.builder, pull=True)

    def of(self, read: Read) -> Found | None:
        """Return what something that is read stands for; None where nobody asked."""
        return self.found.get(name_of(read)) if read.reference else None

    @property
    def unlocked(self) -> list[str]:
        """The names that are read and not in the lock, though there is one."""
        if self.pins is None:
            return []
        found = {
            name_of(read)
            for reading in self.readings
            for read in reading.reads
            if read.reference and read.kind != "file" and not read.is_fixed
        }
        left = found - self.pins.keys() - self._own
        return sorted(name for name in left if not is_excluded(self._workspace, name))

    @property
    def locked(self) -> list[str]:
        """The names that are read as the lock pins them."""
        return sorted(name for name, one in self.found.items() if one.place == "lock")

    def said(self) -> Iterator[str]:
        """Yield the lines that tell a person what is read, where there is a lock."""
        lock = self._workspace.pins
        if lock is None:
            return
        if self.pins is None:
            yield f"{LOCK_FILE} is left aside (--no-lock): bases are what their names stand for now"
            return
        yield f"{LOCK_FILE} pins {len(self.locked)} of what is read"
        if self.is_pulled and self.locked:
            yield "--pull brings nothing newer of it: that is done by invoke lock --update"
        if self.unlocked:
            yield f"not in {LOCK_FILE}: {', '.join(self.unlocked)}; run invoke lock"
        for reading in self.readings:
            for read in reading.reads:
                if is_hidden(read):
                    place = f"{reading.build.file}:{read.line}"
                    yield (
                        f"note: {place}: {read.reference} cannot be pinned, as a stage has its "
                        "name; name the stage otherwise"
                    )

    def pinned(self, definition: dict[str, Any], plan: Selected) -> dict[str, Any]:
        """Return a bake file of the plan, or of a part of it, that reads what was found."""
        if not self.found:
            return definition
        targets = dict(definition["target"])
        known = {reading.build.name: reading for reading in self.readings}
        for build in dockerfile_builds(plan):
            reading = known.get(build.name)
            if reading is None or reading.build != build:
                reading = _reading(self._workspace.root, build, self.native)
            for name in reading.names:
                if name in targets:
                    targets[name] = self._attributes(targets[name], reading)
        return {**definition, "target": targets}

    def _attributes(self, attributes: dict[str, Any], reading: Reading) -> dict[str, Any]:
        changed = dict(attributes)
        for read in reading.reads:
            found = self.of(read)
            if found is None or not found.digest or read.is_fixed:
                continue
            if read.how == "# syntax":
                value = f"{found.name}@{found.digest}"
                changed["args"] = {**changed.get("args", {}), SYNTAX: value}
            elif read.how == "context":
                changed["context"] = _at(read.reference, found.digest)
            elif read.key:
                value = f"{IMAGE}{found.name}@{found.digest}"
                if read.kind == "git":
                    value = _at(read.reference, found.digest)
                changed["contexts"] = {**changed.get("contexts", {}), read.key: value}
        labels = dict(self._labels(reading))
        if labels:
            changed["labels"] = {**labels, **changed.get("labels", {})}
        return changed

    def _labels(self, reading: Reading) -> Iterator[tuple[str, str]]:
        """Yield the labels that name a target's base, where it is the same for all platforms."""
        build = reading.build
        if not self._workspace.config.target[build.target].is_based or reading.text is None:
            return
        try:
            view = view_of(build, reading.text, self.native)
        except ValueError:
            return
        lines = {image_of(view, platform)[-1].stage.line for platform in build.platforms}
        bases = {
            one.reference: self.of(one)
            for one in reading.reads
            if one.line in lines and (one.how == "FROM" or one.how.startswith("contexts."))
        }
        if len(bases) != 1:
            return
        ((reference, found),) = bases.items()
        bare, _, digest = reference.partition("@")
        if not bare:
            return
        whole = references.parse(bare)
        yield f"{_LABELS}name", str(whole)
        if digest or (found and found.digest):
            yield f"{_LABELS}digest", digest or (found.digest if found else "")


def _at(address: str, commit: str) -> str:
    """Return a repository's address with the commit in place of branch or tag."""
    place, _, rest = address.partition("#")
    _, colon, folder = rest.partition(":")
    return f"{place}#{commit}{colon}{folder}"
