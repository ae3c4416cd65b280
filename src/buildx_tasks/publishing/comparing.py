"""Targets in; how what was built of them differs from what is published, by platform, out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from buildx_tasks.building import location
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images import differences, published, sources
from buildx_tasks.images.differences import Sized
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.images.differences import Difference
    from buildx_tasks.images.image import Image
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace

_AT_ONCE = 8
_MOST_SECONDS = 30  # for an answer of a registry


def with_published(workspace: Workspace, targets: Sequence[TargetPlan]) -> list[Difference]:
    """Return each platform of the targets' images beside what their registries hold.

    That is what the first of a target's tags holds that there is, else the version before it. A registry
    that does not answer is no error here: it is the remark of what it was asked about.

    Raises:
        EngineError: an image is not built, or the engine does not give it.
        UsageError: a target has no tag.

    """
    for target in targets:
        reference_of(target)
    with faults():
        here = [_built(workspace, target) for target in targets]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(partial(_compared, workspace), targets, here)
        return [one for listed in found for one in listed]


def _built(workspace: Workspace, target: TargetPlan) -> Sized:
    image = _selected(location.look_up(workspace, target, target.platforms), target)
    if not image.repository and not workspace.engine.has_containerd_store:
        return Sized(image, {})  # which compresses layers only when it pushes
    source = sources.of_image(image, workspace.engine, workspace.registries)
    return Sized(image, published.compressed(source, image))


def _compared(workspace: Workspace, target: TargetPlan, here: Sized) -> list[Difference]:
    try:
        there = _published(workspace, target)
    except MissingError:
        return list(differences.alone(target.name, here, differences.NOT_PUBLISHED))
    except (EngineError, RegistryError) as error:
        why = printable(str(error))
        return list(differences.alone(target.name, here, why, is_fault=True))
    return list(differences.compared(target.name, here, there))


def _published(workspace: Workspace, target: TargetPlan) -> Sized:
    def within(name: str) -> Repository:
        return workspace.registries.of(name).within(_MOST_SECONDS, once=True)

    image = published.newest(within, target.spec.tags)
    if image.config and len(target.declared) == 1:
        # No index: it is that platform's.
        image = image._replace(manifests={target.declared[0]: image.digest})
    image = _selected(image, target)
    source = sources.RepositorySource(within(image.reference))
    return Sized(image, published.compressed(source, image))


def _selected(image: Image, target: TargetPlan) -> Image:
    """Return an image without the platforms that are not selected."""
    if not target.is_part:
        return image
    chosen = {p: d for p, d in image.manifests.items() if p in target.platforms}
    return image._replace(manifests=chosen, is_part=True)
