"""Changed files in; the targets that are made of them, out."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.language.targets import LINK, links
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.expectations import Kinds
    from buildx_tasks.language.targets import Config, Target

_LAYOUT = "oci-layout://"


def changed(config: Config, root: Path, files: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Return which of the targets are made of changed files, or built on one that is.

    What declares the targets changes all of them: ``buildx.*`` and ``pyproject.toml`` in ``root``.
    A context counts as a whole, whatever its ``.dockerignore`` says.
    """
    listed = [Path(posixpath.normpath(file)) for file in files]
    top = Path(posixpath.normpath(root))
    if any(one.parent == top and _declares(one.name) for one in listed):
        return list(names)
    known: dict[str, bool] = {}

    def is_changed(name: str) -> bool:
        if name not in known:
            places = [_absolute(top, place) for place in _places(config.target[name])]
            known[name] = any(
                place == file or place in file.parents for place in places for file in listed
            ) or any(map(is_changed, links(config.target[name]).values()))
        return known[name]

    return [name for name in names if is_changed(name)]


def _declares(name: str) -> bool:
    return name.startswith("buildx.") or name == "pyproject.toml"


def _absolute(root: Path, place: str) -> Path:
    return Path(posixpath.normpath(root / place.removeprefix(CWD)))


def _places(target: Target) -> Iterator[str]:
    """Yield files and folders that a target is made of and verified with, from the project's folder."""
    for attributes in target.builds:
        context = attributes.get("context", ".")
        is_local = not REMOTE.match(context)
        if is_local:
            yield context
        name = attributes.get("dockerfile", "Dockerfile")
        if is_local or name.startswith(CWD):
            # What is outside of the context, too.
            file = name if name.startswith(CWD) else posixpath.join(context, name)
            yield from (file, f"{file}.dockerignore")
        for place in attributes.get("contexts", {}).values():
            if place.startswith(_LAYOUT):
                yield re.split("[@:]", place[len(_LAYOUT) :])[0]
            elif not (REMOTE.match(place) or place.startswith(LINK)):
                yield place
    for files in target.files.values():
        yield from (path for path in files.values() if not path.startswith(LINK))
    for table in (target.verify, *target.verify.check) if target.verify else ():
        yield from _judging(table)


def _judging(table: Kinds) -> Iterator[str]:
    """Yield the files that checks read: mounts, those of other test programs, a command's own script."""
    for kind in ("run", "service", "goss"):
        yield from (mount.source for mount in getattr(table.of(kind), "mounts", ()))
    if tool := table.of("command"):
        # A word that is a path names a file or a folder, never all that there is.
        words = [part for word in tool.command for part in (word, word.partition("=")[2])]
        yield from (word for word in words if word.strip("./"))
    if path := table.of("structure-test"):
        yield _known(path)
    if start := table.of("goss"):
        # What it names in turn mostly stands beside it.
        folder = posixpath.dirname(start.file)
        beside = posixpath.join(folder, "goss_wait.yaml")
        yield from (_known(one) for one in (folder, start.file, start.wait, beside) if one)


def _known(path: str) -> str:
    """Return a path without its placeholders: the folder that has all that it may mean."""
    return posixpath.dirname(path.partition("{")[0]) or "." if "{" in path else path
