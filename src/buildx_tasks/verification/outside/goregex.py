"""A regular expression as Go reads it in; Python's that finds the same, or why there is none, out.

Source of the syntax: https://pkg.go.dev/regexp/syntax
"""

from __future__ import annotations

import functools
import re
import string
import warnings

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_SPACE = r"\t\n\f\r "  # Go's \s: without the vertical tab
_PLAIN = frozenset("aftnrvdDwWbB" + string.punctuation)
_GROUP = re.compile(r"\(\?(?:P?<(?P<name>\w+)>|(?P<flags>[a-zA-Z-]*)(?P<end>[:)]))")
_OCTAL = re.compile("[0-7]{1,3}")
_HEX = re.compile(r"x(?:\{(?P<long>[0-9A-Fa-f]+)\}|(?P<short>[0-9A-Fa-f]{2}))")


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression that ``search`` finds what Go finds with.

    Raises:
        ValueError: Go knows no such expression, or Python cannot say it.

    """
    text = _Translation(pattern).text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._lines = False  # the flag m
        self._out: list[str] = []
        while self._at < len(pattern):
            self._out.append(self._next())
        self.text = "".join(self._out)

    def _fault(self, what: str) -> ValueError:
        return ValueError(f"{self._pattern!r}: {what}")

    def _next(self) -> str:
        mark = self._pattern[self._at]
        if mark == "\\":
            return self._escape(in_class=False)
        if mark == "[":
            return self._one_of()
        if self._pattern.startswith("(?", self._at):
            return self._group()
        self._at += 1
        if mark == "$" and not self._lines:
            return r"\Z"  # Python's $ is before a last newline as well
        return mark

    def _group(self) -> str:
        found = _GROUP.match(self._pattern, self._at)
        if not found:
            raise self._fault("Go has no such group; it knows neither look-around nor conditions")
        is_first = self._at == 0
        self._at = found.end()
        if found["name"]:
            return f"(?P<{found['name']}>"
        flags = found["flags"]
        if set(flags) - set("ims-") or flags.count("-") > 1:
            raise self._fault(f"its flags ({flags}) cannot be said here; use i, m and s")
        on, _, off = flags.partition("-")
        if found["end"] == ":":
            if ("m" in on) != self._lines and "m" in on + off:
                raise self._fault("m is for a whole expression here; write (?m) first")
            return f"(?{flags}:"
        if not is_first or off:
            raise self._fault("flags in the middle cannot be said here; write them first")
        self._lines = "m" in on
        return f"(?{on})" if on else ""

    def _escape(self, *, in_class: bool) -> str:
        rest = self._pattern[self._at + 1 :]
        if not rest:
            raise self._fault("it ends with a backslash")
        mark = rest[0]
        if mark == "Q":
            literal, _, _ = rest[1:].partition(r"\E")
            self._at += 2 + min(len(literal) + 2, len(rest) - 1)
            return re.escape(literal)
        if found := _HEX.match(rest):
            self._at += 1 + found.end()
            number = int(found["long"] or found["short"], 16)
            if number > 0x10FFFF:
                raise self._fault(f"there is no character {number:x}")
            return re.escape(chr(number))
        if (found := _OCTAL.match(rest)) and (mark == "0" or len(found[0]) > 1):
            self._at += 1 + found.end()
            return re.escape(chr(int(found[0], 8)))
        self._at += 2
        if mark == "s":
            return _SPACE if in_class else f"[{_SPACE}]"
        if mark == "S" and not in_class:
            return f"[^{_SPACE}]"
        if mark == "z" and not in_class:
            return r"\Z"
        if mark == "A" and not in_class:
            return r"\A"
        if mark in _PLAIN and not (in_class and mark in "bB"):
            return f"\\{mark}"
        raise self._fault(f"\\{mark} cannot be said here")

    def _one_of(self) -> str:
        self._at += 1
        out = "["
        if self._pattern.startswith("^", self._at):
            out, self._at = "[^", self._at + 1
        if self._pattern.startswith("]", self._at):
            out, self._at = out + r"\]", self._at + 1
        while self._at < len(self._pattern):
            mark = self._pattern[self._at]
            if mark == "]":
                self._at += 1
                return f"{out}]"
            if mark == "\\":
                out += self._escape(in_class=True)
            elif self._pattern.startswith("[:", self._at):
                out += self._named_class()
            else:
                # Doubled, some are marks of sets that Python means to have.
                out += f"\\{mark}" if mark in "[&~|" else mark
                self._at += 1
        raise self._fault("a [ is not closed")

    def _named_class(self) -> str:
        name, end, _ = self._pattern[self._at + 2 :].partition(":]")
        if not end or name not in _CLASSES:
            raise self._fault(f"[:{name[:20]}:] cannot be said here")
        self._at += len(name) + 4
        return _CLASSES[name]
