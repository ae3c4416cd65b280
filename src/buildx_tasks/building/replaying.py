"""A bake that is over in; what it did, as who built it has recorded it, out."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import choice
from buildx_tasks.builders import history as elsewhere
from buildx_tasks.engine import faults, history, settings
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.engine import statuses
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.workspace import Workspace

_ASKING = 20  # seconds that builders elsewhere may take to tell what they did


class BakeDone(NamedTuple):
    """A bake: its targets, when it began (in seconds since 1970), and its metadata."""

    targets: Mapping[str, Attributes]
    began: float
    facts: Mapping[str, Any]

    @property
    def references(self) -> list[tuple[str, str]]:
        """The targets that it has metadata of, each with the last part of buildx's reference."""
        built = ((n, str(said.get("buildx.build.ref", ""))) for n, said in self.facts.items())
        return [(name, reference.rpartition("/")[2]) for name, reference in built if reference]


def replayed(
    workspace: Workspace, builder: Builder | None, bake: BakeDone
) -> Iterator[tuple[str, statuses.Status]]:
    """Yield what was said while it went on, each with its target; nothing where nobody knows."""
    if choice.is_engines_own(builder):
        yield from _of_engine(workspace, bake)
        return
    began = time.monotonic()
    # Of several nodes the metadata names one.
    for name, reference in dict.fromkeys((*bake.references, *_begun(bake, workspace.root))):
        if time.monotonic() - began > _ASKING:
            return
        for status in elsewhere.replay(workspace.commands, builder, reference):
            yield name, status


def _of_engine(workspace: Workspace, bake: BakeDone) -> Iterator[tuple[str, statuses.Status]]:
    engine, known = workspace.engine, bake.references
    with suppress(EngineError, *faults.lost_connections()):
        for name, reference in known or _begun(bake, workspace.root):
            # For one that never reached it BuildKit would wait.
            if not known and history.seconds(engine.api, reference) is None:
                continue
            for status in history.replay(engine.api, reference):
                yield name, status


def _begun(bake: BakeDone, root: Path) -> Iterator[tuple[str, str]]:
    """Yield targets and references of a bake as buildx notes them of each that it begins."""
    with suppress(OSError):
        for path in (settings.buildx_folder() / "refs").glob("*/*/*"):
            if path.parts[-3] == "__group__" or path.stat().st_mtime < bake.began - 1:
                continue
            said = _json(path)
            name = said.get("Target", "")
            place = Path(str(said.get("LocalPath", "")))
            context = str(bake.targets.get(name, {}).get("context", ""))
            if name in bake.targets and place == (root / context).absolute():
                yield name, path.name


def _json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
