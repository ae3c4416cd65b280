"""A Dockerfile's text → our own findings: what several platforms make of it. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles import stages
from buildx_tasks.dockerfiles.caching import shared, uncached
from buildx_tasks.dockerfiles.copying import copied
from buildx_tasks.dockerfiles.emulation import emulated
from buildx_tasks.dockerfiles.naming import named
from buildx_tasks.dockerfiles.sameness import pinned, same
from buildx_tasks.dockerfiles.shell import expand
from buildx_tasks.dockerfiles.view import view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.stages import Stage
    from buildx_tasks.platforms import Native, Platform


class Base(NamedTuple):
    """An image that a stage starts from, and a platform that it is needed for."""

    reference: str
    platform: Platform
    stage: Stage


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


def bases(build: DockerfileBuild, text: str, native: Native) -> Iterator[Base]:
    """Yield the images that the stages start from which are needed, each for each platform it runs on.

    Raises:
        ValueError: it cannot be read.

    """
    view = view_of(build, text, native)
    found: dict[Base, None] = {}
    for platform, needed in view.needed.items():
        for one in needed:
            reference = expand(one.stage.base, view.values[platform])
            replaced = {name.partition("::")[0] for name in build.contexts}
            if one.base is not None or one.platform is None or not reference:
                continue
            if reference == stages.SCRATCH or {reference, one.stage.name} & replaced:
                continue
            found[Base(reference, one.platform, one.stage)] = None
    yield from found
