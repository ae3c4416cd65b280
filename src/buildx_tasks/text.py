"""Data and foreign text → text that is fit to be printed or written to a file."""

from __future__ import annotations

from typing import Any

import msgspec


def printable(text: str, kept: str = "") -> str:
    """Return text in one line: control characters as Python escapes them, but those in ``kept``.

    What an image or a program says must not act on the terminal that it is read on.
    """
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def json_text(data: Any) -> str:
    """Return data as the JSON that our files hold: indented, one newline at its end."""
    return msgspec.json.format(msgspec.json.encode(data)).decode() + "\n"


def json_line(data: Any) -> str:
    """Return data as JSON in one line."""
    return msgspec.json.encode(data).decode()
