"""Foreign text, made fit for a person's terminal."""

from __future__ import annotations


def printable(text: str, kept: str = "") -> str:
    """Return text in one line: control characters as Python escapes them, but those in ``kept``.

    What an image or a program says must not act on the terminal that it is read on.
    """
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)
