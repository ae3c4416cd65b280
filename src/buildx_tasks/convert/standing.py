"""What stands in for secrets' files, keys and an agent while bake is only asked, which looks for them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert import moving

if TYPE_CHECKING:
    from pathlib import Path

_AGENT = "SSH_AUTH_SOCK"


def agent(folder: Path) -> list[str]:
    """Return the words for ``env`` that name an agent in a folder; none where there is one."""
    if os.environ.get(_AGENT):
        return []
    return [f"{_AGENT}={_bound(folder / 'agent')}"]


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
