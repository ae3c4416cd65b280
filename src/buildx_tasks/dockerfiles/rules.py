"""A Dockerfile's text → our own findings: what several platforms make of it. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import stages
from buildx_tasks.dockerfiles.caching import shared, uncached
from buildx_tasks.dockerfiles.copying import copied
from buildx_tasks.dockerfiles.emulation import emulated
from buildx_tasks.dockerfiles.naming import named
from buildx_tasks.dockerfiles.sameness import pinned, same
from buildx_tasks.dockerfiles.view import view_of

if TYPE_CHECKING:
    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.platforms import Native


def check(
    build: DockerfileBuild, text: str, native: Native, *, linked: bool = False
) -> list[Finding]:
    """Return what is to be said of a Dockerfile's text; ``native`` says what is not emulated.

    ``linked`` says that it is built only for others to be made from.

    Raises:
        ValueError: it cannot be read.

    """
    view = view_of(build, text, native)
    found = [*uncached(view), *shared(view)]
    if view.outputs == {"cacheonly"}:
        return found  # nothing lands anywhere, and what runs is run for its own sake
    whole = [] if linked else pinned(view)
    machine = stages.native_platform(native)
    return [
        *emulated(view, native),
        *whole,
        *same(view, machine),
        *copied(view),
        *named(view),
        *found,
    ]
