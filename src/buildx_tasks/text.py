"""Data and foreign text → text that is fit to be printed or written to a file."""

from __future__ import annotations

import re
from typing import Any

import msgspec

# What makes text look other than it is: marks of direction, separators of lines, what is not seen.
MISLEADING = "\u061c\u200b\u200e\u200f\ufeff" + "".join(
    chr(code)
    for first, end in ((0x2028, 0x202F), (0x2060, 0x2070), (0xFFF9, 0xFFFC), (0xE0000, 0xE0080))
    for code in range(first, end)
)
# Tab and line ends may stay. Colours are found first, and left.
_CONTROLS = rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{MISLEADING}]"
_ACTING = re.compile(rf"\x1b\[[0-9;:]*m|{_CONTROLS}")
# As buildx and rich draw: cursor, wiping, colours, and what hides the cursor.
_DRAWING = re.compile(rf"\x1b\[(?:[0-9;:]*[A-HJKm]|\?(?:7|25|2026)[hl])|{_CONTROLS}")
_COMMAND = re.compile(r"((?:^|[\r\n])[^\S\r\n]*)::")


def printable(text: str, kept: str = "") -> str:
    """Return text in one line: control characters as Python escapes them, but those in ``kept``.

    What an image or a program says must not act on the terminal that it is read on.
    """
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def inert(text: str) -> str:
    """Return a text of several lines that acts on no terminal, and commands no runner of GitHub.

    Colours stay. For what is printed as it comes, :func:`escaped` is one half of it.
    Source of the runner's commands: src/Runner.Worker/ActionCommandManager.cs, github.com/actions/runner
    """
    # It trims a line before it looks, and takes the older form anywhere in it.
    return _COMMAND.sub(r"\1: :", escaped(text)).replace("##[", "# #[")


def escaped(text: str, *, is_drawing: bool = False) -> str:
    """Return text in which what would act on a terminal is written as in JSON, which stays JSON.

    Colours stay, and where a program is ``is_drawing`` what moves the cursor and wipes.
    """
    # What acts is not printable; to look for it takes ten times as long, a second for a plan of 5,000.
    if text.replace("\n", "").isprintable():
        return text
    return (_DRAWING if is_drawing else _ACTING).sub(_as_json, text)


def _as_json(match: re.Match[str]) -> str:
    if match[0].startswith("\x1b["):
        return match[0]
    data = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))


def json_text(data: Any) -> str:
    """Return data as the JSON that our files hold: indented, one newline at its end."""
    return msgspec.json.format(msgspec.json.encode(data)).decode() + "\n"


def json_line(data: Any) -> str:
    """Return data as JSON in one line."""
    return msgspec.json.encode(data).decode()
