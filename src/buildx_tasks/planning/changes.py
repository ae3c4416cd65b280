"""Changed files in; the targets that are made of them, out."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.language.targets import LINK, links
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.targets import Config, Target


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
        if not REMOTE.match(context):
            yield context
            # What is outside of the context, too.
            yield posixpath.join(context, attributes.get("dockerfile", "Dockerfile"))
        for place in attributes.get("contexts", {}).values():
            if not (REMOTE.match(place) or place.startswith(LINK)):
                yield place
    for files in target.files.values():
        yield from (path for path in files.values() if not path.startswith(LINK))
    for table in (target.verify, *target.verify.check) if target.verify else ():
        for kind in (table.run, table.service):
            yield from (mount.source for mount in getattr(kind, "mounts", ()))
