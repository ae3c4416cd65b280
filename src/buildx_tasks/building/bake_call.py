"""A bake file and the options in; what ``docker buildx bake`` said, and its metadata, out."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import choice
from buildx_tasks.building import contexts
from buildx_tasks.building.dockerfile_links import followed
from buildx_tasks.building.permissions import permissions
from buildx_tasks.machine import output
from buildx_tasks.machine.files import write_file
from buildx_tasks.text import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoke import Result

    from buildx_tasks.building.recording import Bake
    from buildx_tasks.language.config import Builder
    from buildx_tasks.workspace import Workspace

_QUIET = ("quiet", "rawjson")  # a person wants nothing else among it


class BakeCall(NamedTuple):
    """How bake is called: its two files, named from the project's folder, and how it shows its work.

    ``progress`` is buildx's own word for that; ``hidden`` keeps the output from being shown at all.
    """

    file: str
    metadata: str
    progress: str
    options: tuple[str, ...] = ()
    hidden: bool = False


def run(
    workspace: Workspace,
    builder: Builder | None,
    definition: dict[str, Any],
    call: BakeCall,
    watching: Bake | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Write the bake file and run bake; return its metadata too: nothing where it wrote none.

    Where something is built, no context has our own ``.buildx/`` in it, and it is ``watching`` that
    runs it.
    """
    commands = workspace.commands
    more: dict[str, str] = {}
    if any(one.get("call", "build") == "build" for one in definition["target"].values()):
        definition, more = contexts.without_state(definition, workspace.root)
    definition = followed(definition, workspace.root)
    files = ("--file", call.file, "--metadata-file", call.metadata)
    options = (*files, "--progress", call.progress, *call.options)
    argv = command(builder, definition, workspace.root, options)
    text = json_text(definition)
    if commands.is_dry:
        commands.print_files({**more, call.file: text})
        return commands.run(argv, tty=_wants_terminal(call)), {}
    metadata = workspace.root / call.metadata
    contexts.write(more, workspace.root)
    write_file(workspace.root / call.file, text)
    metadata.unlink(missing_ok=True)
    is_quiet = call.progress in _QUIET and not call.hidden
    with output.hushed() if is_quiet else nullcontext():
        if watching:
            result = watching.run(argv, tty=_wants_terminal(call))
        else:
            result = commands.run(argv, tty=_wants_terminal(call), hide=call.hidden)
    known = metadata.exists()
    facts = json.loads(metadata.read_text(encoding="utf-8")) if known else {}
    if watching:
        watching.replay(facts, is_built=result.ok)
    return result, facts


def command(
    builder: Builder | None, definition: dict[str, Any], root: Path, options: Sequence[str]
) -> list[str]:
    """Return the command, which gives the bake file all that it asks leave for."""
    allowed = [word for one in permissions(definition["target"], root) for word in ("--allow", one)]
    return [*choice.command(builder, "bake"), *options, *allowed]


def _wants_terminal(call: BakeCall) -> bool:
    return call.progress in ("auto", "tty")
