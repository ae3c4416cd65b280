"""A builder and targets in; where the results wait, and by which way they are published, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.builders import choice
from buildx_tasks.errors import EngineError
from buildx_tasks.planning import cells

if TYPE_CHECKING:
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.cells import Selected, TargetPlan

# The ways by which push publishes, as plan and the ledger name them.
IN_STORE = "image store"  # the stored index goes out unchanged
BY_PLATFORM = "platform by platform"  # the classic store: pushed one by one, the index composed
STAGED = "staged"  # it waits in a registry
UNKNOWN = "unknown: no engine answers"
_BUILT = ("linux", "windows")  # the systems that parts are for


def needed(builder: Builder | None, target: TargetPlan) -> bool:
    """Say whether what this builder makes of a target cannot be in the engine's store.

    Several nodes build one image together, each its own platforms; only a registry can hold the
    whole. It is kept there until it is verified and pushed.
    """
    if builder is None or not target.is_image or target.spec.output or len(target.platforms) < 2:
        return False
    # The fallback is made for engines whose store takes one platform of an image.
    return len(builder.node) > 1 or builder == choice.FALLBACK


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


def ways(engine: Engine, builder: Builder | None, plan: Selected) -> dict[str, str]:
    """Return the way of each target that can be pushed; an engine is asked where it matters."""
    targets = [target for target in plan.images if target.spec.tags]
    asked = any(len(t.platforms) > 1 and not needed(builder, t) for t in targets)
    containerd = has_containerd_store(engine) if asked else None
    return {target.name: way(builder, target, containerd) for target in targets}


def has_containerd_store(engine: Engine) -> bool | None:
    """Say whether the engine has the containerd image store; None where no engine says so."""
    try:
        return engine.has_containerd_store
    except EngineError:
        return None


def tag_of(target: TargetPlan) -> str:
    """Return the tag under which the result waits, in the repository of the target's first tag.

    It is known by its digest once it is there.

    Raises:
        UsageError: the target has no tag.

    """
    first = references.parse(cells.reference_of(target))
    name = f"{_whole(target.name)}{f'-{target.part}' if target.is_part else ''}"
    return f"{first.registry}/{first.repository}:{cells.shortened(name)}"


def is_of(tag: str, target: str) -> bool:
    """Say whether results of a target wait under a tag: of all its platforms, or of some."""
    whole = _whole(target)
    parts = tuple(cells.certain(f"{whole}-part-{system}-") for system in _BUILT)
    return tag == cells.shortened(whole) or tag.startswith(parts)


def _whole(target: str) -> str:
    return f"staging-{target}"
