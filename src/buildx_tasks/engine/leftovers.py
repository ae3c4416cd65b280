"""What processes of ours made that were killed, removed: what their records name, and nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults
from buildx_tasks.engine.container_removal import remove_containers, remove_network
from buildx_tasks.machine import made

if TYPE_CHECKING:
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.machine.made import Record

SESSION = "dev.buildx-tasks.session"  # only to find things with: images can say it as well


def sweep(engine: Engine) -> None:
    """Remove what processes left that were killed. What is alive, and what was kept, stays.

    Raises:
        faults.all_errors: the engine fails.

    """
    for record in made.left():
        ours = record.engine.engine
        if not ours or (ours == engine.origin.engine and remove(engine, record)):
            record.close(forget=True)


def remove(engine: Engine, record: Record) -> bool:
    """Remove what a record names, but what was kept; say whether nothing is left."""
    listed = containers(engine, record)
    remove_containers([one for one, is_kept in listed if not is_kept])
    for image in record.things("image"):
        with contextlib.suppress(*faults.api_errors()):
            engine.client.api.remove_image(image.name, force=True)
    if any(is_kept for _, is_kept in listed):
        return False  # they may be on the network, and could not be started again without it
    if record.things("network"):
        for network in engine.client.networks.list(filters=_labelled(record)):
            if record.find("network", network.id, network.name, record.engine.began):
                remove_network(network)
    return True


def containers(engine: Engine, record: Record) -> list[tuple[Any, bool]]:
    """Return the containers there are of those that a record names, each with whether it was kept.

    Their attributes are those of the engine's list.
    """
    if not record.things("container"):
        return []
    # Sparse: the engine is not asked for each one.
    listed = engine.client.containers.list(all=True, sparse=True, filters=_labelled(record))
    found = []
    for one in listed:
        # As a container that was asked for has it; none where it is just going.
        one.attrs["Name"] = (one.attrs.get("Names") or [""])[0]
        known = record.find("container", one.id, one.name, one.attrs["Created"])
        if known:
            found.append((one, known.kept))
    return found


def _labelled(record: Record) -> dict[str, str]:
    return {"label": f"{SESSION}={record.id}"}
