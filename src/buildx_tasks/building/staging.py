"""Results that no local store can hold: kept in their registry until they are verified and pushed.

Several nodes build one image together, each its own platforms; only a registry can hold the whole. It
gets a tag of its own there (``staging-TARGET``), and is known by its digest from then on.

A classic image store holds one platform of an image. Each platform is a target of its own there, under
a local tag (``staging-TARGET-OS-ARCH``), and is known by its id, which is the config's digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import references
from buildx_tasks.builders import state as builders
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.images import image as images
from buildx_tasks.language.expansion import LINK
from buildx_tasks.machine.commands import query
from buildx_tasks.planning.selection import Plan
from buildx_tasks.platforms import parse
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.images.image import Image
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.selection import TargetPlan
    from buildx_tasks.platforms import Platform


# The ways by which push publishes, as plan and the ledger name them.
IN_STORE = "image store"  # the stored index goes out unchanged
BY_PLATFORM = "platform by platform"  # the classic store: pushed one by one, the index composed
STAGED = "staged"  # it waits in a registry
UNKNOWN = "unknown: no engine answers"


def needed(builder: Builder | None, target: TargetPlan) -> bool:
    """Say whether what this builder makes of a target cannot be in the engine's store."""
    if builder is None or not target.is_image or target.spec.output or len(target.platforms) < 2:
        return False
    # The fallback is made for engines whose store takes one platform of an image.
    return len(builder.node) > 1 or builder == builders.FALLBACK


def way(builder: Builder | None, target: TargetPlan, containerd: bool | None) -> str:
    """Return the way by which push publishes what this builder makes of a target.

    ``containerd`` says whether the engine has the containerd image store, None if that is not known.
    """
    if needed(builder, target):
        return STAGED
    single = len(target.platforms) < 2
    if containerd is None:
        return IN_STORE if single else UNKNOWN
    if containerd:
        return IN_STORE
    # Where nothing is declared, setup makes the builder whose results wait in a registry.
    return BY_PLATFORM if builder or single else STAGED


def ways(builder: Builder | None, plan: Plan) -> dict[str, str]:
    """Return the way of each target that can be pushed; an engine is asked where it matters."""
    targets = [target for target in plan.images if target.spec.tags]
    asked = any(len(t.platforms) > 1 and not needed(builder, t) for t in targets)
    containerd = has_containerd_store() if asked else None
    return {target.name: way(builder, target, containerd) for target in targets}


def has_containerd_store() -> bool | None:
    """Say whether the engine has the containerd image store; None where no engine says so."""
    try:
        with engine.faults():
            return engine.has_containerd_store(engine.connect().info())
    except EngineError:
        return None


def tag_of(target: TargetPlan) -> str:
    """Return the tag under which the result waits, in the repository of the target's first tag.

    Raises:
        UsageError: the target has no tag.

    """
    first = references.parse(images.reference_of(target))
    return f"{first.registry}/{first.repository}:{f'staging-{target.name}'[:128]}"


def part_of(target: TargetPlan, platform: Platform) -> str:
    """Return the tag under which one platform waits, where a store takes no whole image."""
    repository, _, tag = tag_of(target).rpartition(":")
    return f"{repository}:{'-'.join((tag, *filter(None, platform)))[:128]}"


class Divided(NamedTuple):
    """A plan in which each platform is a target; ``parts`` are their names, by target and platform."""

    plan: Plan
    parts: dict[str, dict[Platform, str]]


def divisible(builder: Builder | None, plan: Plan) -> bool:
    """Say whether dividing the plan lets a classic store take what it could not.

    Without a declared builder, setup makes one that needs no store.
    """
    if builder is None or any(needed(builder, target) for target in plan.targets):
        return False
    return any(map(_is_divided, plan.targets))


def _is_divided(target: TargetPlan) -> bool:
    return target.is_image and not target.spec.output and len(target.platforms) > 1


def divided(plan: Plan) -> Divided:
    """Divide the images of several platforms, and what they are built on, into one for each platform."""
    parts: dict[str, dict[Platform, str]] = {}
    taken = set(plan.config.target)
    linked = [t._replace(platforms=t.platforms or t.declared) for t in plan.linked]
    for target in (*filter(_is_divided, plan.targets), *(t for t in linked if t.platforms[1:])):
        parts[target.name] = {p: _name(target, p, taken) for p in target.platforms}
    targets = [part for target in plan.targets for part in _parts_of(target, parts)]
    bases = [part for target in linked for part in _parts_of(target, parts)]
    # Groups name the whole targets; there are none now.
    config = plan.config._replace(group={})
    names = tuple(part.name for part in targets)
    return Divided(Plan(config, names, tuple(targets), tuple(bases)), parts)


def _name(target: TargetPlan, platform: Platform, taken: set[str]) -> str:
    name = "-".join((f"{target.name}-", *filter(None, platform))).replace(".", "-")
    while name in taken:
        name += "-"
    taken.add(name)
    return name


def _parts_of(target: TargetPlan, parts: Mapping[str, dict[Platform, str]]) -> list[TargetPlan]:
    spec = target.spec
    if target.name not in parts:
        attributes = _relinked(spec.attributes, parts)
        overrides = {p: _relinked(own, parts) for p, own in spec.overrides.items()}
        return [target._replace(spec=spec._replace(attributes=attributes, overrides=overrides))]
    found = []
    for platform, name in parts[target.name].items():
        attributes = {**_relinked(spec.attributes, parts), "platforms": [str(platform)]}
        if spec.tags:
            attributes["tags"] = [part_of(target, platform)]
        files = {
            key: _of_part(path, platform, parts)
            for key, path in spec.files.get(platform, {}).items()
        }
        own = spec.overrides.get(platform)
        part = spec._replace(
            attributes=attributes,
            files={platform: files} if files else {},
            overrides={} if own is None else {platform: _relinked(own, parts)},
        )
        found.append(
            target._replace(name=name, spec=part, platforms=(platform,), declared=(platform,))
        )
    return found


def _relinked(attributes: Attributes, parts: Mapping[str, Mapping[Platform, str]]) -> Attributes:
    """Link to the parts of a target in its place: which one is meant, the platform of a stage says.

    BuildKit looks for ``NAME::PLATFORM`` before ``NAME``.
    Source: https://github.com/moby/buildkit/blob/master/frontend/dockerui/namedcontext.go
    """
    contexts = {}
    for key, value in attributes.get("contexts", {}).items():
        bases = parts.get(value[len(LINK) :], {}) if value.startswith(LINK) else {}
        contexts.update({f"{key}::{p}": LINK + name for p, name in bases.items()} or {key: value})
    return {**attributes, "contexts": contexts} if contexts else dict(attributes)


def _of_part(path: str, platform: Platform, parts: Mapping[str, Mapping[Platform, str]]) -> str:
    """Return the path of a file in the part of the target that it is taken from."""
    name, slash, rest = path[len(LINK) :].partition("/") if path.startswith(LINK) else ("", "", "")
    return (
        f"{LINK}{parts[name][platform]}{slash}{rest}" if platform in parts.get(name, {}) else path
    )


def by_digest(tag: str, digest: str) -> str:
    """Return the reference that will never mean another image."""
    return f"{tag.rpartition(':')[0]}@{digest}"


def reference(root: Path, target: TargetPlan) -> str:
    """Return ``repository@digest`` of the target's last build, ``""`` if the engine has it."""
    return str(_last_built(root).get(target.name, {}).get("staged", ""))


def was_divided(root: Path, targets: Sequence[TargetPlan]) -> bool:
    """Say whether the last build of one of the targets was platform by platform."""
    last = _last_built(root)
    return any(last.get(target.name, {}).get("parts") for target in targets)


def _last_built(root: Path) -> dict[str, dict[str, Any]]:
    """Return the ledger's entry of each target's last build."""
    return {entry["target"]: entry for entry in ledger.read(root) if entry["event"] == "built"}


def locate(
    c: Context,
    client: docker.DockerClient,
    root: Path,
    target: TargetPlan,
    wanted: Sequence[Platform],
) -> Image:
    """Return the target's image where the engine can run it: its own, or pulled just now.

    What waits in a registry is pulled by the digests of the wanted platforms' manifests. What was
    built platform by platform is there if every tag still holds what was built.

    Raises:
        EngineError: it is not built, or the registry or the engine does not give it.

    """
    last = _last_built(root).get(target.name, {})
    if last.get("staged"):
        return _pulled(c, client, root, str(last["staged"]), wanted)
    ids = {parse(platform): str(one) for platform, one in last.get("parts", {}).items()}
    if not ids:
        return images.require(client, target)
    tags = {platform: part_of(target, platform) for platform in ids}
    for platform, tag in tags.items():
        held = images.stored(client, tag)
        if held is None or held.digest != ids[platform]:
            raise images.not_built(target)
    return images.of_parts(images.reference_of(target), ids, tags)


def _pulled(
    c: Context,
    client: docker.DockerClient,
    root: Path,
    reference: str,
    wanted: Sequence[Platform],
) -> Image:
    image = images.published(c, reference)
    repository = reference.rpartition("@")[0]
    manifests = image.manifests
    pulled = []
    for platform in wanted:
        exact = f"{repository}@{manifests.get(platform, '')}"
        if platform not in manifests or images.stored(client, exact):
            continue
        argv = ["docker", "pull", "--quiet", "--platform", str(platform), exact]
        result = query(c, argv)
        if not result.ok:
            raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
        pulled.append({"reference": exact})
    if pulled:
        ledger.record(root, "pulled", pulled)
    return image._replace(repository=repository)
