"""A target in; its last build's image, where the engine can run it, out: its own, or pulled just now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.building.classic_store import part_of
from buildx_tasks.errors import EngineError
from buildx_tasks.images import image, store
from buildx_tasks.images.published import published
from buildx_tasks.planning import cells
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.records.ledger import Ledger
    from buildx_tasks.workspace import Workspace


def by_digest(tag: str, digest: str) -> str:
    """Return the reference that will never mean another image."""
    return f"{tag.rpartition(':')[0]}@{digest}"


def reference(ledger: Ledger, target: TargetPlan) -> str:
    """Return ``repository@digest`` of the target's last build, ``""`` if the engine has it."""
    return str(_last_built(ledger).get(target.name, {}).get("staged", ""))


def was_divided(ledger: Ledger, targets: Sequence[TargetPlan]) -> bool:
    """Say whether the last build of one of the targets was platform by platform."""
    last = _last_built(ledger)
    return any(last.get(target.name, {}).get("parts") for target in targets)


def _last_built(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Return the ledger's entry of each target's last build."""
    return {entry["target"]: entry for entry in ledger.read() if entry["event"] == "built"}


def locate(workspace: Workspace, target: TargetPlan, wanted: Sequence[Platform]) -> Image:
    """Return the target's image where the engine can run it: its own, or pulled just now.

    What waits in a registry is pulled by the digests of the wanted platforms' manifests. What was
    built platform by platform is there if every tag still holds what was built.

    Raises:
        EngineError: it is not built, or the engine does not give it.
        RegistryError: the registry does not give it.

    """
    last = _last_built(workspace.ledger).get(target.name, {})
    if last.get("staged"):
        return _pulled(workspace, str(last["staged"]), wanted)
    ids = {parse(platform): str(one) for platform, one in last.get("parts", {}).items()}
    if not ids:
        return require(workspace.engine, target)
    tags = {platform: part_of(target, platform) for platform in ids}
    for platform, tag in tags.items():
        held = store.stored(workspace.engine, tag)
        if held is None or held.digest != ids[platform]:
            raise cells.not_built(target)
    return image.of_parts(cells.reference_of(target), ids, tags)


def require(engine: Engine, target: TargetPlan) -> Image:
    """Return the target's image from the engine's store.

    Raises:
        EngineError: it has not been built.

    """
    found = store.stored(engine, cells.reference_of(target))
    if found is None:
        raise cells.not_built(target)
    return found


def _pulled(workspace: Workspace, reference: str, wanted: Sequence[Platform]) -> Image:
    found = published(workspace.registries.of(reference), reference)
    repository = reference.rpartition("@")[0]
    pulled = []
    for platform in wanted:
        exact = f"{repository}@{found.manifests.get(platform, '')}"
        if platform not in found.manifests or store.stored(workspace.engine, exact):
            continue
        pull(workspace.commands, exact, platform)
        pulled.append({"reference": exact})
    if pulled:
        workspace.ledger.record("pulled", pulled)
    return found._replace(repository=repository)


def pull(commands: Commands, exact: str, platform: Platform) -> None:
    """Have the engine pull one platform's image by the digest of its manifest, unseen.

    Raises:
        EngineError: it cannot.

    """
    result = commands.query(["docker", "pull", "--quiet", "--platform", str(platform), exact])
    if not result.ok:
        raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
