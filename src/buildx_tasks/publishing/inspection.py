"""References or targets in; what is there under them, as trees to be shown, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.building import location
from buildx_tasks.errors import EngineError
from buildx_tasks.images import description, sources
from buildx_tasks.planning.cells import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.images.description import Shown
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace


def published(workspace: Workspace, asked: Iterable[tuple[Reference, str]]) -> Iterator[Shown]:
    """Yield what the registries hold under references, each with a digest or ``""`` for its tag.

    Raises:
        RegistryError: a registry refuses, or does not answer.

    """
    for reference, pinned in asked:
        repository = workspace.registries.repository(reference)
        name = f"{repository}@{pinned}" if pinned else str(reference)
        yield description.published(repository, name, pinned or reference.tag)


def built(workspace: Workspace, targets: Sequence[TargetPlan]) -> Iterator[Shown]:
    """Yield what was built: from the engine's store, or from where it waits to be pushed.

    Raises:
        EngineError: it is not built, or the classic store has it.

    """
    for one in targets:
        reference_of(one)
    engine = workspace.engine
    engine.require()
    for one in targets:
        image = location.locate(workspace, one, ())
        if not image.repository and not engine.has_containerd_store:
            raise EngineError(
                f"{image.reference} has no index or compressed layers yet: the engine's classic "
                "image store makes them when it pushes; run invoke push, then inspect --published"
            )
        source = sources.of_image(image, engine, workspace.registries)
        yield description.shown(source, image.reference, source.manifest(image.digest))
