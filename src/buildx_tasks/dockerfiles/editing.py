"""Changes of single instructions of a Dockerfile's text; the rest stays as a person wrote it."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"\s*#")


class Edits:
    """Changes by the number of an instruction's first line, as it was before any of them."""

    def __init__(self, text: str) -> None:
        self._ending = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._blocks: dict[int, str] = {}
        self._before: dict[int, list[str]] = {}
        self._behind: dict[int, str] = {}

    def of(self, line: int) -> str:
        """Return an instruction as it is now, with all its lines."""
        if line not in self._blocks:
            self._blocks[line] = "\n".join(self._lines[line - 1 : self._end(line)])
        return self._blocks[line]

    def replace(self, line: int, what: re.Pattern[str], by: str) -> None:
        """Replace each match in an instruction."""
        self._blocks[line] = what.sub(by, self.of(line)).rstrip(" ")

    def before(self, line: int, text: str) -> None:
        """Put a line before an instruction, once."""
        known = self._before.setdefault(line, [])
        if text not in known:
            known.append(text)

    def behind(self, line: int, text: str) -> None:
        """Put lines behind an instruction."""
        self._behind[line] = text

    def text(self) -> str:
        """Return the whole text with all changes."""
        found: list[str] = []
        number = 1
        while number <= len(self._lines):
            found += self._before.get(number, ())
            changes = number in self._blocks or number in self._behind
            found.append(self.of(number) if changes else self._lines[number - 1])
            if number in self._behind:
                found += self._behind[number].rstrip("\n").split("\n")
            number = self._end(number) + 1 if changes else number + 1
        return "\n".join(found).replace("\n", self._ending)

    def _end(self, line: int) -> int:
        """Return the number of an instruction's last line."""
        for number in range(line, len(self._lines) + 1):
            text = self._lines[number - 1]
            is_inside = number > line and (_COMMENT.match(text) or not text.strip())
            if not is_inside and not text.rstrip().endswith("\\"):
                return number
        return len(self._lines)
