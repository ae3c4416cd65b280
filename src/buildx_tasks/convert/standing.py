"""What stands in for secrets' files, keys and an agent while bake is only asked, which looks for them.

And for archives that are exported: asked with ``--print``, bake opens and empties them already.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert import moving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AGENT = "SSH_AUTH_SOCK"
_DESTINATION = re.compile(r"""\bdest\b["']?\s*[=:]\s*["']?((?:\$\{[^}]*\}|[^"',\s}$])*)""")
_ASIDE = ".buildx-tasks-aside"


def agent(folder: Path) -> list[str]:
    """Return the words for ``env`` that name an agent in a folder; none where there is one."""
    if os.environ.get(_AGENT):
        return []
    return [f"{_AGENT}={_bound(folder / 'agent')}"]


@contextmanager
def archives_aside(texts: Sequence[str]) -> Iterator[None]:
    """Put the archives that bake files export away while bake is asked, and back; remove empty ones."""
    patterns = [
        re.sub(r"\$\{[^}]*\}", "*", one[1]) for t in texts for one in _DESTINATION.finditer(t)
    ]
    aside = {path: path.with_name(path.name + _ASIDE) for path in _files(patterns)}
    try:
        for path, other in aside.items():
            path.rename(other)
        yield
    finally:
        for path in _files(patterns):
            if not path.name.endswith(_ASIDE) and not path.stat().st_size:
                path.unlink()
        for path, other in aside.items():
            if other.exists():
                other.replace(path)


def _files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that are there of these paths, in which ``*`` is what is not known."""
    found: list[Path] = []
    # What is not known but for its folder may be any file.
    wanted = [one for one in patterns if re.search(r"\w", one.rpartition("/")[2])]
    for pattern in dict.fromkeys(wanted):
        start, star, _ = pattern.partition("*")
        folder = Path(start).parent if star else Path()
        parts = pattern[len(str(folder)) :].lstrip("/") if star and str(folder) != "." else pattern
        found += folder.glob(parts) if star else [Path(pattern)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


class StandIns:
    """Names files in a folder in place of those that tables name; the same for the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}

    def table(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return a target with stand-ins for its secrets' files and keys."""
        done = dict(table)
        if "secret" in table:
            only = {"secret": table["secret"]}
            done.update(moving.with_paths(only, self._file, lambda text: "://" not in text))
        if "output" in table:
            only = {"output": table["output"]}
            done.update(moving.with_paths(only, self._fresh, lambda text: text != "-"))
        if "ssh" in table:
            done["ssh"] = [self._ssh(entry) for entry in table["ssh"]]
        return done

    def _ssh(self, entry: Any) -> Any:
        if isinstance(entry, dict):
            return {
                k: [self._key(one) for one in v] if k == "paths" else v for k, v in entry.items()
            }
        name, mark, paths = entry.partition("=")
        return name + mark + ",".join(self._key(one) for one in paths.split(",") if one)

    def _key(self, path: str) -> str:
        # What is a socket is taken for an agent, whatever it is called.
        return self._known.get(path) or self._add(path, _bound)

    def _fresh(self, path: str) -> str:
        return self._known.get(path) or self._add(path, str)

    def _file(self, path: str) -> str:
        return self._known.get(path) or self._add(path, _empty)

    def _add(self, path: str, made: Any) -> str:
        self._known[path] = made(self._folder / str(len(self._known)))
        return self._known[path]


def _empty(path: Path) -> str:
    path.touch()
    return str(path)


def _bound(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    return str(path)
