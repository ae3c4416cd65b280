"""Nodes that are down and nodes that answer in; a builder of the latter, for one build, out."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

import msgspec

from buildx_tasks.builders import nodes, reconcile
from buildx_tasks.builders.state import titles
from buildx_tasks.engine import settings
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import write_file
from buildx_tasks.machine.interruption import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.builders.state import NodeState
    from buildx_tasks.language.config import Builder
    from buildx_tasks.workspace import Workspace


@contextlib.contextmanager
def of_those_that_answer(
    workspace: Workspace,
    builder: Builder | None,
    down: Sequence[NodeState],
    alive: Sequence[NodeState],
) -> Iterator[Builder | None]:
    """Yield the builder, or one of its nodes that answer: that one is gone afterwards, not its nodes.

    Raises:
        EngineError: none of the declared nodes answers, or the builder cannot be made.

    """
    if not down or builder is None:
        yield builder
        return
    answering = {node.name for node in alive}
    rest = [node for node in nodes.declared(builder, workspace.root) if node.name in answering]
    if not rest:
        raise EngineError(f"{titles(down)} does not answer; start it")
    left = "-".join(node.name for node in down)
    # With this process's number: other projects may build with the rest of this builder too.
    name = f"{builder.name}-without-{left}-{os.getpid()}"
    changed = msgspec.structs.replace(builder, name=name)
    print(f"{titles(down)} does not answer; built without it", file=sys.stderr, flush=True)
    sweep(workspace, builder)
    commands = workspace.commands
    try:
        for change in reconcile.creation(changed, rest):
            for path, text in change.files.items():
                write_file(workspace.root / path, text)
            for argv in change.commands:
                if not (result := commands.run(argv, hide=True)).ok:
                    raise EngineError(f"{changed.name} cannot be made: {result.stderr.strip()}")
        yield changed
    finally:
        with deferred():
            commands.run(reconcile.removal(name, "--keep-daemon"), hide=True)


def sweep(workspace: Workspace, builder: Builder) -> None:
    """Remove the builders of the rest that builds left behind when they were killed."""
    pattern = re.compile(re.escape(builder.name) + r"-without-.+-(\d+)")
    folder = settings.buildx_folder() / "instances"  # where buildx keeps a file for each builder
    for path in folder.glob(f"{builder.name}-without-*") if folder.is_dir() else ():
        found = pattern.fullmatch(path.name)
        if found and not _is_alive(int(found[1])):
            workspace.commands.run(reconcile.removal(path.name, "--keep-daemon"), hide=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
