"""Bake files whose archives are exported elsewhere while bake is asked, and bake's answer as of old.

Asked with ``--print``, bake opens and empties the archives already that it would export.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

KEPT = "buildx-tasks-dest"  # what an export's ``dest`` is called while it is elsewhere
_TOLD = re.compile(r"\bdest=(?!-(?:[\"',\s\\]|$))")
_PIECE = re.compile(
    r"""(?P<skipped>(?:\#|//)[^\n]*|/\*.*?\*/)
    |(?P<dest>\bdest|"dest")(?P<is>\s*(?:=(?![=>])|:))(?!\s*"-?")
    |<<-?(?P<here>\w+)\n
    |(?P<mark>[{}"])""",
    re.DOTALL | re.VERBOSE,
)
_IN_TEXT = re.compile(r"""[$%]{2}\{|(?P<open>[$%]\{)|(?P<dest>\bdest=(?!-(?:[",\s\\]|$)))|"|\\.""")


class Exports:
    """Gives exports a place each in a folder (that is there), under which they come to no harm."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._away = re.compile(rf"{re.escape(str(folder))}/\d+,{KEPT}=")

    def told(self, text: str) -> str:
        """Return a text, as of a flag, a variable or a compose file, with ``dest=`` elsewhere."""
        return _TOLD.sub(self._moved, text)

    def declared(self, text: str) -> str:
        """Return a bake file (HCL or JSON) with each ``dest``, in texts or as a key, elsewhere."""
        done, at, within = "", 0, [""]  # the marks that are open: "{", '"', or what ends a text
        while at < len(text):
            is_text = within[-1] not in {"", "{"}
            found = (_IN_TEXT if is_text else _PIECE).search(text, at)
            end = _end_of_here(text, at, within[-1]) if is_text and within[-1] != '"' else -1
            if 0 <= end < (found.start() if found else len(text)):
                done, at = done + text[at:end], end
                within.pop()
                continue
            if not found:
                break
            done += text[at : found.start()]
            at = found.end()
            done += self._in_text(found, within) if is_text else self._in_code(found, within)
        return done + text[at:]

    def back(self, data: Any) -> Any:
        """Return what bake says of them as it would have said it."""
        if isinstance(data, str):
            return self._away.sub("", data)
        if isinstance(data, list):
            return list(map(self.back, data))
        if not isinstance(data, dict):
            return data
        is_away = str(data.get("dest", "")).startswith(f"{self._folder}/") and KEPT in data
        named = {"dest": data[KEPT]} if is_away else {}
        left = {key: value for key, value in data.items() if key != KEPT}
        return {self.back(key): self.back(value) for key, value in {**left, **named}.items()}

    def is_in(self, data: Any) -> bool:
        """Say whether a place of these is left in what bake says, as where a function takes it apart."""
        return f"{self._folder}/" in str(data)

    def _in_text(self, found: re.Match[str], within: list[str]) -> str:
        if found["open"]:
            within.append("{")
        elif found[0] == '"' == within[-1]:
            within.pop()
        return self._moved(found) if found["dest"] else found[0]

    def _in_code(self, found: re.Match[str], within: list[str]) -> str:
        if found["here"] or found["mark"] in {"{", '"'}:
            within.append(found["here"] or found["mark"])
        elif found["mark"] and len(within) > 1:
            within.pop()
        if not found["dest"] or len(within) == 1:  # as a variable of that name
            return found[0]
        quote = found["dest"][:1] if found["dest"][:1] == '"' else ""
        place = f'{found["dest"]}{found["is"]} "{self._place()}"'
        return f"{place}, {quote}{KEPT}{quote}{found['is']}"

    def _moved(self, _: re.Match[str]) -> str:
        return f"dest={self._place()},{KEPT}="

    def _place(self) -> str:
        self._count += 1
        return f"{self._folder}/{self._count}"


def _end_of_here(text: str, at: int, mark: str) -> int:
    """Return where the text that stands before a line of this mark ends."""
    found = re.compile(rf"(?m)^[ \t]*{mark}\b").search(text, at)
    return found.end() if found else len(text)
