"""A target in; its last build's image, where the engine can run it, out: its own, or pulled just now."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from buildx_tasks.building.classic_store import part_of
from buildx_tasks.errors import EngineError
from buildx_tasks.images import image, store
from buildx_tasks.images.published import published
from buildx_tasks.planning import cells
from buildx_tasks.platforms import parse
from buildx_tasks.records.ledger import last_built

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.records.ledger import Ledger
    from buildx_tasks.workspace import Workspace

_AT_ONCE = 8  # questions of a few bytes


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
    return last_built(ledger.read())


def _newest(ledger: Ledger, target: TargetPlan, wanted: Sequence[Platform]) -> dict[str, Any]:
    """Return the ledger's entry of the newest build with these platforms; of the last one for none."""
    names = {str(platform) for platform in wanted}
    built = [e for e in ledger.read() if e["event"] == "built" and e["target"] == target.name]
    found = (e for e in reversed(built) if names <= set(e.get("platforms") or names))
    # Of one that lacks something, what is looked at next says so; of a part that is not the whole.
    return next(found, None) or next((e for e in reversed(built) if not e.get("part")), {})


def named(ledger: Ledger, target: TargetPlan, wanted: Sequence[Platform]) -> str:
    """Return the reference of the newest build with these platforms, as a person can type it."""
    newest = _newest(ledger, target, wanted)
    if newest.get("staged"):
        return str(newest["staged"])
    return newest["tags"][0] if newest.get("part") else cells.reference_of(target)


def last_part(ledger: Ledger, target: TargetPlan) -> str:
    """Return the platforms of the target's last build where these are a part only, else ``""``."""
    last = _last_built(ledger).get(target.name, {})
    return ", ".join(map(str, last["platforms"])) if last.get("part") else ""


def locate(workspace: Workspace, target: TargetPlan, wanted: Sequence[Platform]) -> Image:
    """Return the target's image where the engine can run it: its own, or pulled just now.

    Raises:
        EngineError, RegistryError: as :func:`look_up` and :func:`bring`.

    """
    found = look_up(workspace, target, wanted)
    bring(workspace, found, wanted)
    return found


def look_up(workspace: Workspace, target: TargetPlan, wanted: Sequence[Platform]) -> Image:
    """Return the target's image where it is: in the engine's store, or waiting in a registry.

    It is that of the newest build with the wanted platforms, which may be of a part of the declared
    ones; without any, of the last build. What was built platform by platform is there if every tag
    still holds what was built.

    Raises:
        EngineError: it is not built, or the engine does not give it.
        RegistryError: the registry does not give it.

    """
    last = _newest(workspace.ledger, target, wanted)
    # Another process may have written the ledger meanwhile.
    if last and last != _last_built(workspace.ledger).get(target.name, last):
        _say_older(workspace.ledger, target, str(last["at"]))
    is_part = bool(last.get("part"))
    if last.get("staged"):
        return _waiting(workspace, str(last["staged"]))._replace(is_part=is_part)
    ids = {parse(platform): str(one) for platform, one in last.get("parts", {}).items()}
    if not ids and is_part:
        return _part(workspace.engine, target, last["tags"][0])
    if not ids:
        return _whole(workspace, target)
    if is_part:
        target = target._replace(platforms=tuple(ids))
    tags = {platform: part_of(target, platform) for platform in ids}
    for platform, tag in tags.items():
        held = store.stored(workspace.engine, tag)
        if held is None or held.digest != ids[platform]:
            raise cells.not_built(target)
    name = last["tags"][0] if is_part else cells.reference_of(target)
    return image.of_parts(name, ids, tags)._replace(is_part=is_part)


def _say_older(ledger: Ledger, target: TargetPlan, at: str) -> None:
    part = last_part(ledger, target) or "other platforms"
    line = f"{target.name}: the last build was of {part} only; this is about the one of {at}"
    print(line, file=sys.stderr, flush=True)


def _part(engine: Engine, target: TargetPlan, tag: str) -> Image:
    found = store.stored(engine, tag)
    if found is None:
        flags = "".join(f" -p {platform}" for platform in target.platforms)
        raise EngineError(f"{tag} is not built any more; run invoke build -t {target.name}{flags}")
    return found._replace(is_part=True)


def _whole(workspace: Workspace, target: TargetPlan) -> Image:
    found = store.stored(workspace.engine, cells.reference_of(target))
    if found is not None:
        return found
    if part := last_part(workspace.ledger, target):
        raise EngineError(
            f"{cells.reference_of(target)} is not built: of {target.name} there is {part} only; "
            f"run invoke build -t {target.name}, or select that with -p"
        )
    raise cells.not_built(target)


def require(engine: Engine, target: TargetPlan) -> Image:
    """Return the target's image from the engine's store.

    Raises:
        EngineError: it has not been built.

    """
    found = store.stored(engine, cells.reference_of(target))
    if found is None:
        raise cells.not_built(target)
    return found


def _waiting(workspace: Workspace, reference: str) -> Image:
    found = published(workspace.registries.of(reference), reference)
    return found._replace(repository=reference.rpartition("@")[0])


def bring(workspace: Workspace, image: Image, wanted: Sequence[Platform]) -> None:
    """Have the engine pull what it lacks of an image that waits in a registry, by manifest's digest.

    Raises:
        EngineError: it cannot.

    """
    if not image.repository:
        return
    exact = {one: image.runnable(one) for one in wanted if one in image.manifests}
    # The engine takes its time for each.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        held = pool.map(lambda one: store.inspected(workspace.engine, one), exact.values())
        lacking = [platform for platform, found in zip(exact, held) if found is None]
    pulled = []
    for platform in lacking:
        pull(workspace.commands, exact[platform], platform)
        pulled.append({"reference": exact[platform]})
    if pulled:
        workspace.ledger.record("pulled", pulled)


def pull(commands: Commands, exact: str, platform: Platform) -> None:
    """Have the engine pull one platform's image by the digest of its manifest, unseen.

    Raises:
        EngineError: it cannot.

    """
    result = commands.query(["docker", "pull", "--quiet", "--platform", str(platform), exact])
    if not result.ok:
        raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
