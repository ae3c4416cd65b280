"""A project in; what was removed out: what setup and build made, and nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from buildx_tasks.builders import choice, nodes, reconcile
from buildx_tasks.builders.state import states
from buildx_tasks.errors import EngineError
from buildx_tasks.images import store
from buildx_tasks.records import ledger
from buildx_tasks.verification import containers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.builders.state import BuilderState
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.workspace import Workspace


def clean(workspace: Workspace) -> list[str]:
    """Remove the containers, images and builders that the ledger names, then ``.buildx/``; say what went.

    A tag that somebody moved to another image since is left alone, and exported files are too.

    Raises:
        EngineError: the engine does not answer, or refuses.

    """
    removed = [
        *_remove_kept(workspace),
        *_remove_images(workspace),
        *_remove_created(workspace),
    ]
    folder = workspace.ledger.folder
    if folder.exists():
        if workspace.commands.is_dry:
            workspace.commands.run(["rm", "-r", ledger.FOLDER])
        else:
            shutil.rmtree(folder)
        removed.append(f"{ledger.FOLDER}/")
    return removed


def clean_builder(workspace: Workspace) -> list[str]:
    """Remove the declared builder (without a declared one: what setup made instead); say what went.

    Nodes that are not declared stay, and so does a builder or context of that name of another kind.

    Raises:
        EngineError: it is not what is declared, or buildx refuses.

    """
    declared = workspace.config.builder or choice.meant(workspace)
    state = states(workspace.engine).get(declared.name) if declared else None
    if declared is None or state is None:
        return []
    if state.driver not in ("", declared.driver):
        raise EngineError(
            f'builder "{declared.name}" has driver {state.driver}, declared is {declared.driver}; '
            f"it is left alone ({' '.join(_removal(declared.name, state.driver))} removes it)"
        )
    commands = workspace.commands
    if declared.driver == "docker" and not reconcile.is_our_context(commands, declared.name):
        raise EngineError(
            f'"{declared.name}" is a docker context that buildx-tasks did not make; it is left alone'
        )
    removed = _remove_builder(workspace, declared, state)
    if not commands.is_dry:
        entry = {"builder": declared.name, "driver": declared.driver}
        workspace.ledger.record("removed", [entry])
    return removed


def _remove_builder(workspace: Workspace, declared: Builder, state: BuilderState) -> list[str]:
    ours = {node.name for node in nodes.declared(declared, workspace.root)}
    if declared.driver in ("docker", "cloud") or all(n.name in ours for n in state.nodes):
        _run(workspace.commands, _removal(declared.name, declared.driver))
        return [f'builder "{declared.name}"']
    leaving = [node for node in state.nodes if node.name in ours]
    for node in leaving:
        for argv in reconcile.leaving(declared, node).commands:
            _run(workspace.commands, argv)
    return [f'node "{node.name}" of builder "{declared.name}"' for node in leaving]


def _removal(name: str, driver: str) -> list[str]:
    if driver == "docker":
        return reconcile.context_removal(name)
    return reconcile.removal(name)


def _run(commands: Commands, argv: Sequence[str]) -> None:
    result = commands.run(argv, hide=True)
    if not result.ok and not commands.is_dry:
        said = result.stderr.strip().splitlines()
        raise EngineError(f"{' '.join(argv)} failed: {said[0] if said else 'it says nothing'}")


def _remove_kept(workspace: Workspace) -> list[str]:
    """Remove the containers that ``verify --keep`` left; return what was removed."""
    if not any(entry["event"] == "kept" for entry in workspace.ledger.read()):
        return []
    engine, root = workspace.engine, workspace.root
    if workspace.commands.is_dry:
        for container in containers.kept(engine, root):
            workspace.commands.run(["docker", "rm", "--force", "--volumes", container.name])
        return []
    return [f"container {name}" for name in containers.remove_kept(engine, root)]


def _remove_created(workspace: Workspace) -> list[str]:
    """Remove the builders that setup made, as the ledger has it; return what was removed."""
    made: dict[str, str] = {}
    for entry in workspace.ledger.read():
        if entry["event"] == "created":
            made[entry["builder"]] = entry["driver"]
        elif entry["event"] == "removed":
            made.pop(entry["builder"], None)
    removed = []
    actual = states(workspace.engine) if made else {}
    commands = workspace.commands
    for name, driver in made.items():
        # A builder that does not answer has no driver in the list.
        there = name in actual and actual[name].driver in ("", driver)
        if there and (driver != "docker" or reconcile.is_our_context(commands, name)):
            _run(commands, _removal(name, driver))
            removed.append(f'builder "{name}"')
    return removed


def _remove_images(workspace: Workspace) -> list[str]:
    entries = workspace.ledger.read()
    built = [
        entry
        for entry in entries
        if entry["event"] in ("built", "left") and (entry.get("digest") or entry.get("parts"))
    ]
    pulled = dict.fromkeys(e["reference"] for e in entries if e["event"] == "pulled")
    if not built:
        return []
    engine = workspace.engine
    ours = {entry["digest"] for entry in built if entry.get("digest")}
    ours |= {one for entry in built for one in entry.get("parts", {}).values()}
    known = {one: image.digest for one in pulled if (image := store.stored(engine, one))}
    for tag in dict.fromkeys(tag for entry in built for tag in entry["tags"]):
        image = store.stored(engine, tag)
        if image and image.digest in ours:
            known[tag] = image.digest
    # Earlier builds, whose tags moved on to later ones.
    earlier = sorted(ours.difference(known.values()))
    references = [*known, *(one for one in earlier if _is_nobodys(engine, one))]
    if references:
        argv = ["docker", "image", "rm", "--force", *references]
        result = workspace.commands.run(argv, hide=True)
        if not result.ok and not workspace.commands.is_dry:
            raise EngineError(f"an image cannot be removed: {result.stderr.strip()}")
    return [f"image {reference}" for reference in references]


def _is_nobodys(engine: Engine, digest: str) -> bool:
    """Say whether an image is there without a tag: removed by its digest, it would lose all of them."""
    facts = store.inspected(engine, digest)
    return facts is not None and not facts.get("RepoTags")
