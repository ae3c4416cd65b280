"""A target's located image in; the release that goes out, with all its manifests read, out."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.building import staging
from buildx_tasks.errors import EngineError
from buildx_tasks.images import attestations, graph, sources
from buildx_tasks.images.image import platform_of
from buildx_tasks.machine.version import __version__
from buildx_tasks.publishing import compose, evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.image import Image
    from buildx_tasks.images.sources import Source
    from buildx_tasks.images.statements import Verdict
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.evidence import Attachment
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.workspace import Workspace


class Located(NamedTuple):
    """An image where it is to be taken from; ``verified`` is passed, unchecked or no, for the ledger.

    ``verdicts`` are those of its platforms.
    """

    image: Image
    verified: str
    verdicts: Mapping[Platform, Verdict] = MappingProxyType({})


class Release(NamedTuple):
    """One image on its way: under which tags, and which of these never move (``immutable``).

    ``drop`` are the platforms that a tag may lose; ``attachments`` go out beside it.
    ``manifests`` are the platforms' digests in the registry; ``entry`` is what the ledger notes of it
    besides; ``target`` is for messages.
    """

    target: str
    source: Source
    graph: Graph
    manifests: dict[Platform, str]
    tags: tuple[Reference, ...]
    immutable: tuple[str, ...]
    entry: dict[str, Any]
    drop: tuple[Platform, ...] = ()
    attachments: tuple[Attachment, ...] = ()


def require_whole(target: TargetPlan, image: Image) -> None:
    """Refuse an image that lacks a declared platform, or has one that nobody declared and verified.

    Raises:
        EngineError: with the platforms.

    """
    lacking = [str(p) for p in target.declared if p not in image.manifests]
    if lacking:
        raise EngineError(
            f"{image.reference} lacks {', '.join(lacking)} (built with -p?), and would replace a "
            f"whole image by a part; run invoke build -t {target.name}"
        )
    strange = [str(p) for p in image.manifests if p not in target.declared]
    if strange:
        raise EngineError(
            f"{image.reference} has {', '.join(strange)} too, which is not declared, and so not "
            f"verified; add it to platforms, or run invoke build -t {target.name}"
        )


def release(
    workspace: Workspace, target: TargetPlan, located: Located, tags: tuple[Reference, ...]
) -> Release:
    """Return a target's image as it goes out, with all its manifests read.

    Of the classic store, the platforms are pushed here, and the index is composed.

    Raises:
        EngineError: it is not built whole.
        PushError: the engine cannot push a platform, or another image arrived than was verified.
        RegistryError: the registry does not give what waits there.

    """
    image = located.image
    require_whole(target, image)
    way = way_of(workspace.engine, image)
    source: Source
    if way == staging.BY_PLATFORM:
        source, whole = compose.pushed(workspace, target, image)
    else:
        source = sources.of_image(image, workspace.engine, workspace.registries)
        whole = graph.graph_of(source, image.digest)
    entry = {
        "target": target.name,
        "verified": located.verified,
        "way": way,
        "versions": versions_of(workspace.engine),
    }
    # An image without index says its platform in its config only.
    manifests = platforms_of(whole) or {target.declared[0]: whole.root.digest}
    return Release(
        target.name,
        source,
        whole,
        manifests,
        tags,
        target.spec.immutable,
        entry,
        target.spec.drop,
        evidence.of_verdicts(whole, manifests, located.verdicts, target.spec.verdicts),
    )


def way_of(engine: Engine, image: Image) -> str:
    """Return the way by which an image is published, as plan and the ledger name it."""
    if image.repository:
        return staging.STAGED
    return staging.IN_STORE if engine.has_containerd_store else staging.BY_PLATFORM


def platforms_of(whole: Graph) -> dict[Platform, str]:
    """Return the manifests' digests by platform, as the index says; attestations are left out."""
    return platforms_in(whole.root)


def platforms_in(index: Manifest) -> dict[Platform, str]:
    """Return what an index lists by platform, without what only describes others (``unknown``)."""
    found = {
        platform_of(one.platform): one.digest
        for one in index.content.manifests
        if attestations.ATTESTATION not in one.marks and one.platform is not None
    }
    return {platform: digest for platform, digest in found.items() if platform.os != "unknown"}


def versions_of(engine: Engine | None) -> dict[str, str]:
    """Return the versions of what publishes, by name."""
    found = {"buildx-tasks": __version__}
    return {**found, "Docker Engine": engine.info["ServerVersion"]} if engine else found
