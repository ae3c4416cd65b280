"""How a container is started, and the files of its image, in; the file that it starts out."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.images.paths import Entry, Tree

# Where none is set: docker's own.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def words_of(runtime: Mapping[str, Any]) -> list[str]:
    """Return the words that a container starts; ``runtime`` is a config's own ``config``."""
    return [*(runtime.get("Entrypoint") or []), *(runtime.get("Cmd") or [])]


def environment_of(runtime: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that an image sets, by name; ``runtime`` is a config's own ``config``."""
    return dict(pair.partition("=")[::2] for pair in runtime.get("Env") or ())


def program(tree: Tree, runtime: Mapping[str, Any]) -> Entry | None:
    """Return the file that a container starts, None where it is not in the image."""
    words = words_of(runtime)
    if not words:
        return None
    folders = environment_of(runtime).get("PATH", _PATH).split(":")
    if "/" in words[0]:
        folders = [runtime.get("WorkingDir") or "/"]
    for folder in folders:
        entry = tree.find(posixpath.join("/", folder, words[0]))
        if entry and entry.kind == "file":
            return entry
    return None
