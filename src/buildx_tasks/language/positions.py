"""Where each key and value of a TOML document stands, for errors that name line and column.

No TOML reader for Python tells this. The scanner below reads only documents that tomli has already
accepted, so it follows the grammar without checking it, and only runs once there is an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Union

import tomli

KeyPath = tuple[Union[str, int], ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class Position(NamedTuple):
    """A place in a text; ``line`` and ``column`` count from 1, columns in characters."""

    line: int
    column: int


class Positions:
    """The positions of all keys and array elements of one TOML document.

    Args:
        text: a document that tomli accepts.

    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._keys: dict[KeyPath, int] = {}
        self._values: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}
        self._scan_document()

    def key(self, path: KeyPath) -> Position:
        """Return where the key (or array element) at ``path`` stands, or its nearest parent."""
        return self._find(path, self._keys)

    def value(self, path: KeyPath) -> Position:
        """Return where the value at ``path`` starts, or its nearest parent's key."""
        return self._find(path, {**self._keys, **self._values})

    def _find(self, path: KeyPath, known: dict[KeyPath, int]) -> Position:
        while path and path not in known:
            path = path[:-1]
        offset = known.get(path, 0)
        before = self._text[:offset]
        return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def _scan_document(self) -> None:
        table: KeyPath = ()
        while self._skip_space():
            if self._text.startswith("[[", self._at):
                self._at += 2
                parts = self._read_key()
                path = self._enter((), parts)
                index = self._lengths.get(path, 0)
                self._lengths[path] = index + 1
                table = (*path, index)
                self._keys[table] = parts[-1][1]
                self._at = self._text.index("]]", self._at) + 2
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._enter((), self._read_key())
                self._at = self._text.index("]", self._at) + 1
            else:
                self._scan_pair(table)

    def _skip_space(self) -> bool:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _read_key(self) -> list[tuple[str, int]]:
        """Read a dotted key; return each part with its offset."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip_space()
            start = self._at
            match = _STRING.match(self._text, start) or _BARE_KEY.match(self._text, start)
            if match is None:
                return parts
            self._at = match.end()
            raw = match.group()
            parts.append((tomli.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw, start))
            self._skip_space()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _enter(self, path: KeyPath, parts: list[tuple[str, int]]) -> KeyPath:
        """Note each part of a key below ``path``; an array of tables means its last element."""
        for number, (part, offset) in enumerate(parts, start=1):
            path = (*path, part)
            self._keys.setdefault(path, offset)
            if path in self._lengths and number < len(parts):
                path = (*path, self._lengths[path] - 1)
        return path

    def _scan_pair(self, table: KeyPath) -> None:
        path = self._enter(table, self._read_key())
        self._at = self._text.index("=", self._at) + 1
        self._scan_value(path)

    def _scan_value(self, path: KeyPath) -> None:
        self._skip_space()
        self._values[path] = self._at
        first = self._text[self._at]
        if first == "[":
            self._scan_array(path)
        elif first == "{":
            self._scan_inline_table(path)
        else:
            match = (_STRING if first in "\"'" else _SCALAR).match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _scan_array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._skip_space() and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            element: KeyPath = (*path, index)
            self._keys[element] = self._at
            self._scan_value(element)
            index += 1
        self._at += 1

    def _scan_inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._skip_space() and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._scan_pair(path)
        self._at += 1
