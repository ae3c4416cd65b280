"""The secrets of a build in; what takes their values out of a text, out."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

from buildx_tasks.language.secrets import LEAST_SOUGHT, effective, place_of
from buildx_tasks.planning.bakefile import unescaped
from buildx_tasks.references import CWD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes

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
            if len(line.strip()) >= LEAST_SOUGHT:
                yield line.strip()


def _value(name: str, entry: Mapping[str, object], root: Path) -> str:
    kind, place = place_of(name, entry, os.environ)
    if kind == "env":
        return os.environ.get(place, "")
    with suppress(OSError), (root / unescaped(place).removeprefix(CWD)).open("rb") as stream:
        return stream.read(_MOST).decode("utf-8", "replace")
    return ""
