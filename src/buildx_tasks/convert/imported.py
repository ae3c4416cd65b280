"""What an import gives."""

from __future__ import annotations

from typing import NamedTuple


class Imported(NamedTuple):
    """The text of a ``buildx.toml``, and what is to be said of how it came to be."""

    text: str
    notes: list[str]
