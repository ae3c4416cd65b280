"""SARIF reports of commands in, by cell and check; the same out, as long as their verdict holds."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from buildx_tasks.machine.files import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FOLDER = "sarif"


def keep(
    folder: Path, cell: str, check: str, verdict: tuple[str, str], runs: Sequence[dict[str, Any]]
) -> None:
    """Keep the last report of a cell's check; ``verdict`` is the manifest's digest, and the checks' hash.

    Raises:
        OSError: it cannot be written.

    """
    path = _path(folder, cell, check)
    path.parent.mkdir(exist_ok=True)
    write_file(path, json.dumps({"verdict": verdict, "runs": list(runs)}))


def kept(
    folder: Path, cell: str, check: str, verdict: tuple[str, str]
) -> tuple[dict[str, Any], ...]:
    """Return the runs of a cell's check, if they are of that verdict; nothing where they are lost."""
    try:
        held = json.loads(_path(folder, cell, check).read_bytes())
        if tuple(held["verdict"]) == verdict:
            return tuple(run for run in held["runs"] if isinstance(run, dict))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return ()


def _path(folder: Path, cell: str, check: str) -> Path:
    name = hashlib.sha256(f"{cell}\0{check}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return folder / _FOLDER / f"{name}.json"
