"""Remove what setup and build made, and nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from buildx_tasks.builders import nodes, reconcile
from buildx_tasks.builders import state as builders
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.images import image as images
from buildx_tasks.machine.commands import is_dry, run
from buildx_tasks.records import ledger
from buildx_tasks.verification import containers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoke import Context

    from buildx_tasks.builders.state import BuilderState
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.expansion import Config


def clean(c: Context, root: Path) -> list[str]:
    """Remove the containers, images and builders that the ledger names, then ``.buildx/``; say what went.

    A tag that somebody moved to another image since is left alone, and exported files are too.

    Raises:
        EngineError: the engine does not answer, or refuses.

    """
    removed = [*_remove_kept(c, root), *_remove_images(c, root), *_remove_created(c, root)]
    folder = root / ledger.FOLDER
    if folder.exists():
        if is_dry(c):
            run(c, ["rm", "-r", ledger.FOLDER], folder=root)
        else:
            shutil.rmtree(folder)
        removed.append(f"{ledger.FOLDER}/")
    return removed


def clean_builder(c: Context, config: Config, root: Path) -> list[str]:
    """Remove the declared builder (without a declared one: what setup made instead); say what went.

    Nodes that are not declared stay, and so does a builder or context of that name of another kind.

    Raises:
        EngineError: it is not what is declared, or buildx refuses.

    """
    declared = config.builder or builders.meant(config, root)
    state = builders.states(c).get(declared.name) if declared else None
    if declared is None or state is None:
        return []
    if state.driver not in ("", declared.driver):
        raise EngineError(
            f'builder "{declared.name}" has driver {state.driver}, declared is {declared.driver}; '
            f"it is left alone ({' '.join(_removal(declared.name, state.driver))} removes it)"
        )
    if declared.driver == "docker" and not reconcile.is_our_context(c, declared.name):
        raise EngineError(
            f'"{declared.name}" is a docker context that buildx-tasks did not make; it is left alone'
        )
    removed = _remove_builder(c, declared, state, root)
    if not is_dry(c):
        entry = {"builder": declared.name, "driver": declared.driver}
        ledger.record(root, "removed", [entry])
    return removed


def _remove_builder(c: Context, declared: Builder, state: BuilderState, root: Path) -> list[str]:
    ours = {node.name for node in nodes.declared(declared, root)}
    if declared.driver in ("docker", "cloud") or all(n.name in ours for n in state.nodes):
        _run(c, _removal(declared.name, declared.driver), root)
        return [f'builder "{declared.name}"']
    leaving = [node for node in state.nodes if node.name in ours]
    for node in leaving:
        for argv in reconcile.leaving(declared, node).commands:
            _run(c, argv, root)
    return [f'node "{node.name}" of builder "{declared.name}"' for node in leaving]


def _removal(name: str, driver: str) -> list[str]:
    if driver == "docker":
        return reconcile.context_removal(name)
    return reconcile.removal(name)


def _run(c: Context, argv: Sequence[str], root: Path) -> None:
    result = run(c, argv, folder=root, hide=True)
    if not result.ok and not is_dry(c):
        said = result.stderr.strip().splitlines()
        raise EngineError(f"{' '.join(argv)} failed: {said[0] if said else 'it says nothing'}")


def _remove_kept(c: Context, root: Path) -> list[str]:
    """Remove the containers that ``verify --keep`` left; return what was removed."""
    if not any(entry["event"] == "kept" for entry in ledger.read(root)):
        return []
    client = engine.connect()
    if is_dry(c):
        for container in containers.kept(client, root):
            run(c, ["docker", "rm", "--force", "--volumes", container.name], folder=root)
        return []
    return [f"container {name}" for name in containers.remove_kept(client, root)]


def _remove_created(c: Context, root: Path) -> list[str]:
    """Remove the builders that setup made, as the ledger has it; return what was removed."""
    made: dict[str, str] = {}
    for entry in ledger.read(root):
        if entry["event"] == "created":
            made[entry["builder"]] = entry["driver"]
        elif entry["event"] == "removed":
            made.pop(entry["builder"], None)
    removed = []
    actual = builders.states(c) if made else {}
    for name, driver in made.items():
        # A builder that does not answer has no driver in the list.
        there = name in actual and actual[name].driver in ("", driver)
        if there and (driver != "docker" or reconcile.is_our_context(c, name)):
            _run(c, _removal(name, driver), root)
            removed.append(f'builder "{name}"')
    return removed


def _remove_images(c: Context, root: Path) -> list[str]:
    entries = ledger.read(root)
    built = [e for e in entries if e["event"] == "built" and (e.get("digest") or e.get("parts"))]
    pulled = [entry["reference"] for entry in entries if entry["event"] == "pulled"]
    if not built:
        return []
    client = engine.connect()
    ours = {entry["digest"] for entry in built if entry["digest"]}
    ours |= {one for entry in built for one in entry.get("parts", {}).values()}
    references = [one for one in dict.fromkeys(pulled) if images.stored(client, one)]
    for tag in dict.fromkeys(tag for entry in built for tag in entry["tags"]):
        image = images.stored(client, tag)
        if image and image.digest in ours:
            references.append(tag)
    # Earlier builds, whose tags moved on to later ones.
    tagged = {digest for tag in references if (digest := _digest(client, tag))}
    references += [digest for digest in ours - tagged if _digest(client, digest)]
    if references:
        result = run(c, ["docker", "image", "rm", "--force", *references], folder=root, hide=True)
        if not result.ok and not is_dry(c):
            raise EngineError(f"an image cannot be removed: {result.stderr.strip()}")
    return [f"image {reference}" for reference in references]


def _digest(client: object, reference: str) -> str:
    image = images.stored(client, reference)
    return image.digest if image else ""
