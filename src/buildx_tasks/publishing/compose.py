"""Classic image stores hold one platform of an image: pushed one by one, the index is composed here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.building import classic_store
from buildx_tasks.engine import faults
from buildx_tasks.engine.accounts import account_for
from buildx_tasks.engine.pushing import pushing
from buildx_tasks.errors import PushError
from buildx_tasks.images import graph, sources
from buildx_tasks.registry.manifests import INDEX_TYPES, Manifest, manifest_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.image import Image
    from buildx_tasks.images.sources import Source
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace


def pushed(workspace: Workspace, target: TargetPlan, image: Image) -> tuple[Source, Graph]:
    """Push each platform of a target under a tag of its own; return where they are, and their index.

    Raises:
        PushError: the engine cannot push one, or the registry got another config than was verified.
        RegistryError: the registry does not give it back.

    """
    manifests: dict[Platform, Manifest] = {}
    for platform in target.declared:
        place = references.parse(classic_store.part_of(target, platform))
        _push(workspace.engine, image.manifests[platform], place)
        held = workspace.registries.repository(place).get(place.tag)
        config = held.content.config.digest if held.content.config else "none"
        if config != image.manifests[platform]:
            raise PushError(
                f"{place}: the registry got the config {config}, verified was "
                f"{image.manifests[platform]}; somebody else pushed it meanwhile: push again"
            )
        manifests[platform] = held
    source = sources.RepositorySource(workspace.registries.repository(place))
    found = list(manifests.values())
    if len(found) == 1:
        return source, graph.assembled(found[0], ())
    return source, graph.assembled(index_of(manifests), found)


def index_of(manifests: Mapping[Platform, Manifest]) -> Manifest:
    """Return the index of one manifest for each platform; equal manifests give an equal index.

    Source: https://github.com/opencontainers/image-spec/blob/main/image-index.md
    """
    entries = []
    for platform, manifest in manifests.items():
        fields = zip(("os", "architecture", "variant"), platform)
        entries.append(
            {
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": len(manifest.data),
                "platform": {key: value for key, value in fields if value},
            }
        )
    content = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}
    return manifest_of(json.dumps(content, separators=(",", ":")).encode())


def _push(engine: Engine, image: str, place: Reference) -> None:
    """Let the engine push an image under a tag: only it can read its classic store."""
    account = account_for(place.registry)
    log_in = {
        "username": account.name,
        "password": account.password,
        "identitytoken": account.token,
        "serveraddress": place.registry,
    }
    repository = f"{place.registry}/{place.repository}"
    try:
        for line in pushing(engine, image, f"{repository}:{place.tag}", log_in):
            if "error" in line:
                raise PushError(
                    f"{place} could not be pushed: {printable(line['error'])}; push again"
                )
    except faults.all_errors() as error:
        reason = printable(faults.words_of(error))
        raise PushError(f"{place} could not be pushed: {reason}; push again") from None
