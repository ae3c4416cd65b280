"""Attributes whose paths are from one folder → the same, with paths from another; and other names."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert.expanding import FIRM, STARTED
from buildx_tasks.language.targets import LINK

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRM = re.compile(f"([{FIRM}{STARTED}])([^,:=\\s\"']*)")
_ENTRIES = ("cache-from", "cache-to", "output", "secret")
_PATHS = ("src", "source", "dest", "destination")


def moved(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a table as it is from here, where its paths are from ``folder``."""
    if folder == ".":
        return table
    rest = {key: value for key, value in table.items() if key != "context"}
    return with_paths(
        {"context": table.get("context", "."), **rest}, lambda path: _joined(folder, path)
    )


def from_here(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table in which what is told by its whole path, and is below this folder, is from here."""
    here = str(Path.cwd())
    done = with_paths(table, lambda path: _below(path, here), lambda path: path.startswith("/"))
    context, file = table.get("context", "."), table.get("dockerfile", "")
    if file.startswith(f"{here}/") and not done.get("context", ".").startswith("/"):
        done["dockerfile"] = posixpath.relpath(file, posixpath.join(here, context))
    return done


def _below(path: str, here: str) -> str:
    return posixpath.relpath(path, here) if f"{path}/".startswith(f"{here}/") else path


def with_paths(
    table: dict[str, Any],
    path: Callable[[str], str],
    taken: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """Return a table in which ``path`` was done to each path of this machine that is ``taken``.

    Without, that is each that :func:`is_path` takes.
    """
    is_taken = taken or is_path
    done = dict(table)
    if "context" in done:
        done["context"] = path(done["context"]) if is_taken(done["context"]) else done["context"]
    if "contexts" in done:
        done["contexts"] = {
            key: path(value) if is_taken(value) else value
            for key, value in done["contexts"].items()
        }
    for key in (key for key in _ENTRIES if key in done):
        done[key] = [_entry(key, entry, path, is_taken) for entry in done[key]]
    return done


def from_folder(text: str, folder: str, start: str) -> str:
    """Return a text (a word, or more) with the places that no ``cd`` changes told from a folder.

    ``start`` is where the shell starts; both folders are told from here.
    """

    def told(found: re.Match[str]) -> str:
        is_started, place = found[1] == STARTED, found[2] or "."
        if is_started and folder == start:
            return place
        place = posixpath.normpath(posixpath.join(start, place)) if is_started else place
        return place if folder == "." or folder[:1] == "$" else posixpath.relpath(place, folder)

    return _FIRM.sub(told, text)


def is_path(text: str) -> bool:
    """Say whether a context is a folder here, told by its path from another one."""
    return "://" not in text and not text.startswith(("${", "git@", LINK, "-"))


def rename(table: dict[str, Any], old: str, new: str) -> None:
    """Let a target that is built on ``old`` be built on ``new``."""
    contexts = table.get("contexts", {})
    for key, value in contexts.items():
        contexts[key] = LINK + new if value == LINK + old else value


def _entry(
    key: str, entry: Any, path: Callable[[str], str], is_taken: Callable[[str], bool]
) -> Any:
    """Return an entry, written as text or as a table, with its paths changed."""
    if isinstance(entry, dict):
        return {k: path(v) if k in _PATHS and is_taken(v) else v for k, v in entry.items()}
    if "=" not in entry:
        return path(entry) if key == "output" and is_taken(entry) else entry
    pairs = [pair.partition("=") for pair in entry.split(",")]
    return ",".join(
        f"{k}{mark}{path(v)}" if k in _PATHS and is_taken(v) else f"{k}{mark}{v}"
        for k, mark, v in pairs
    )


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))
