"""What a Dockerfile reads, and the lock, in; what is not in it, or pinned wrongly, as findings, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.building.bases import single
from buildx_tasks.building.below import Facts
from buildx_tasks.building.resolving import Resolved
from buildx_tasks.building.standing import is_excluded, is_hidden, name_of, own_tags
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.dockerfiles.reads import reads
from buildx_tasks.language.lockfile import LOCK_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.reads import Read
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.lockfile import Pin
    from buildx_tasks.platforms import Native
    from buildx_tasks.workspace import Workspace


class Unlocked:
    """``Unlocked`` and ``SinglePlatformPin``: nothing where there is no lock."""

    def __init__(self, workspace: Workspace, builder: Builder | None) -> None:
        self._workspace = workspace
        self._pins = workspace.pins
        self._own = own_tags(workspace) if self._pins is not None else frozenset()
        self._resolved = Resolved(workspace, builder)
        self._upstream = Resolved(workspace, builder, pull=True)

    def found(self, build: DockerfileBuild, text: str, native: Native) -> Iterator[Finding]:
        """Yield what is to be said of a Dockerfile, once for each line of it, and of the lock.

        Raises:
            ValueError: the Dockerfile cannot be read.

        """
        if self._pins is None:
            return
        for read in reads(build, text, native):
            if not read.reference or read.kind == "file" or read.is_fixed:
                continue
            name = name_of(read)
            if name in self._pins:
                yield from self._single(build, read, name, self._pins[name])
            elif name not in self._own and not is_excluded(self._workspace, name):
                fix = "run invoke lock"
                if is_hidden(read):
                    fix = "name the stage otherwise: a pin of that name would stand in its place"
                place = (build.file, read.line, read.stage)
                message = f"{name} is not in {LOCK_FILE}: it is what it stands for at each build"
                yield Finding("Unlocked", build.target, None, *place, message, fix)

    def _single(self, build: DockerfileBuild, read: Read, name: str, pin: Pin) -> Iterator[Finding]:
        if read.kind == "git":
            return
        whole = f"{name}@{pin.digest}"
        facts = self._resolved.facts([whole])[whole]
        if not isinstance(facts, Facts) or facts.is_index:
            return
        if problem := single(pin.digest, self._upstream.found(name)):
            what, _, fix = f'"{name}" {problem}'.partition("; ")
            yield Finding(
                "SinglePlatformPin", build.target, None, LOCK_FILE, pin.line, "", what, fix
            )
