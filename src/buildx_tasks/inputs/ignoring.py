"""The text of a ``.dockerignore`` in; which paths of a context it leaves out, out. No I/O.

The rules are BuildKit's own, which are not quite those of any library for Python:
https://github.com/moby/patternmatcher and https://docs.docker.com/build/concepts/context/#syntax.
Where one cannot be read, nothing is left out by it: what is hashed in vain costs a build at most.
"""

from __future__ import annotations

import functools
import posixpath
import re
from typing import NamedTuple

_ESCAPED = frozenset(".$+{}()|")


class Rule(NamedTuple):
    """One line: ``is_exception`` is that of ``!``, ``depth`` how many folders its pattern names."""

    pattern: re.Pattern[str]
    is_exception: bool
    depth: int


class Ignored:
    """What an ignore file leaves out. ``has_exceptions``: of a folder left out something may stay."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self.has_exceptions = any(rule.is_exception for rule in rules)

    def matches(self, path: str, above: tuple[bool, ...] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Say whether a path (from the context, with ``/``) is left out, and which rules say so.

        ``above`` is what was given back for the folder that it is in.
        """
        is_out = False
        matched = []
        for number, rule in enumerate(self._rules):
            does = bool(above) and above[number]
            if not does and rule.is_exception == is_out:
                does = rule.pattern.fullmatch(path) is not None
            matched.append(does)
            if does:
                is_out = not rule.is_exception
        return is_out, tuple(matched)


def parse(text: str) -> Ignored:
    """Return what the text of an ignore file says."""
    rules = []
    for number, whole in enumerate(text.split("\n")):
        line = whole.rstrip("\r")
        line = line.lstrip("\ufeff") if number == 0 else line
        if line.startswith("#") or not line.strip():
            continue
        rule = _rule(line.strip())
        if rule is not None:
            rules.append(rule)
    return Ignored(rules)


def _rule(line: str) -> Rule | None:
    is_exception = line.startswith("!")
    pattern = line[1:].strip() if is_exception else line
    if not pattern:
        return None
    pattern = posixpath.normpath(pattern)
    if len(pattern) > 1:
        pattern = re.sub("^/+", "", pattern)
    if pattern in (".", "") or pattern.startswith("../"):
        return None  # it would leave out nothing that has a name
    try:
        return Rule(_compiled(pattern), is_exception, pattern.count("/") + 1)
    except re.error:
        return None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern: ``**`` is any number of folders, ``*`` not a ``/``."""
    out = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
            out.append(".*" if at >= len(pattern) else "(?:.*/)?")
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif char in _ESCAPED:
            out.append(re.escape(char))
        else:  # [ and ] are a class, as in an expression
            out.append(char)
    return re.compile("".join(out), re.DOTALL)
