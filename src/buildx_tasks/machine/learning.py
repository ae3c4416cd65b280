"""Types that several threads decode: msgspec learns each in one of them, or the process crashes."""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

_Kind = TypeVar("_Kind")
_LEARNING = threading.Lock()
_KNOWN: set[object] = set()


def learned(kind: type[_Kind]) -> type[_Kind]:
    """Return a type that msgspec knows from now on."""
    if kind not in _KNOWN:
        with _LEARNING:
            msgspec.json.Decoder(kind)
            _KNOWN.add(kind)
    return kind
