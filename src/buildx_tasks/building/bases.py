"""A Dockerfile's base images in; those that lack a platform they are needed for, as findings, out."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.builders.capability import local_text
from buildx_tasks.building.resolving import Resolved
from buildx_tasks.dockerfiles import rules
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.errors import listed
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native, Platform
    from buildx_tasks.workspace import Workspace

# What a machine of this architecture is given, too, where there is nothing better.
_ALSO = {"amd64": "386", "arm64": "arm"}


class Bases:
    """The platforms of base images. What cannot be known is left alone, with a note."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._said: set[str] = set()

    def lacking(self, build: DockerfileBuild, text: str, native: Native) -> Iterator[Finding]:
        """Yield the base images that lack a platform which the build needs them for.

        Raises:
            ValueError: the Dockerfile cannot be read.

        """
        for reference, wanted, stage in rules.bases(build, text, native):
            there = self._platforms(reference)
            if there is None or _has(there, wanted):
                continue
            yield Finding(
                "BaseLacksPlatform",
                build.target,
                wanted,
                build.file,
                stage.line,
                stage.label,
                f"the base image {reference} has no {wanted}; it has {listed(map(str, there))}",
                f"name an image that has it, or take {wanted} out of [target.{build.target}] platforms",
            )

    def settled(self, build: DockerfileBuild, text: str, native: Native) -> set[int]:
        """Return the lines whose base images are known, so that their names say nothing more.

        Raises:
            ValueError: the Dockerfile cannot be read.

        """
        asked = rules.bases(build, text, native)
        return {one.stage.line for one in asked if self._platforms(one.reference) is not None}

    def _platforms(self, reference: str) -> frozenset[Platform] | None:
        found = self._resolved.platforms(reference)
        if not isinstance(found, str):
            return found
        if reference not in self._said:
            self._said.add(reference)
            print(f"note: the platforms of {reference} are not known: {found}", file=sys.stderr)
        return None


def explained(workspace: Workspace, builder: Builder | None, plan: Plan) -> list[str]:
    """Return which base images of a failed build lack which platforms, with place and fix."""
    here = workspace.engine.platform
    looked = Bases(Resolved(workspace, builder))
    lines = []
    for build in dockerfile_builds(plan):
        text = local_text(build, workspace.root)
        with suppress(ValueError):  # BuildKit has said it
            lacking = looked.lacking(build, text or "", lambda p: platforms.runs_natively(p, here))
            lines += [f"{one.file}:{one.line}: {one.message}; {one.fix}" for one in lacking]
    return list(dict.fromkeys(lines))


def _has(there: Iterable[Platform], wanted: Platform) -> bool:
    return any(
        platforms.runs_natively(one, wanted)
        or (one.os == wanted.os and _ALSO.get(wanted.architecture) == one.architecture)
        for one in there
    )
