"""The secrets of a build in; what takes their values out of a text, out."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

from buildx_tasks.language.secrets import effective
from buildx_tasks.planning.bakefile import unescaped
from buildx_tasks.references import CWD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes

_LEAST = 8  # characters of a line of a secret; shorter ones are in too much else
_MOST = 1_000_000  # bytes of a secret, which BuildKit takes at most half of
_MASK = "***"


def masking(targets: Iterable[Attributes], root: Path) -> Callable[[str], str]:
    """Return what replaces the lines of all secrets of some targets in a text."""
    found = {line for one in targets for line in _lines(one, root)}
    # Of two that begin alike the whole longer one goes.
    words = sorted(found, key=len, reverse=True)

    def masked(text: str) -> str:
        for word in words:
            text = text.replace(word, _MASK)
        return text

    return masked if words else str


def _lines(attributes: Attributes, root: Path) -> Iterator[str]:
    for name, entry in effective(attributes, "secret").items():
        for line in _value(name, entry, root).splitlines():
            if len(line.strip()) >= _LEAST:
                yield line.strip()


def _value(name: str, entry: Mapping[str, object], root: Path) -> str:
    variable, path = entry.get("env"), entry.get("src")
    if variable is None and path is None:
        # buildx takes the variable of that name, else the file.
        variable, path = (name, None) if name in os.environ else (None, name)
    if variable is not None:
        return os.environ.get(str(variable), "")
    with suppress(OSError), (root / unescaped(str(path)).removeprefix(CWD)).open("rb") as stream:
        return stream.read(_MOST).decode("utf-8", "replace")
    return ""
