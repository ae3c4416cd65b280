"""Shell words: what BuildKit makes of ``${X:-y}``, and which commands a script runs."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*", re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_MOST = 100  # variables can stand in each other
_OPERATORS = frozenset("();<>|&\n")
_REDIRECTION = re.compile("[<>&]*[<>][<>&]*")
# Words that stand before the command that really runs.
_BEFORE = frozenset(
    "! { if then elif else while until do time exec command nice nohup sudo env ccache".split()
)
SHELLS = frozenset("sh ash bash dash ksh zsh".split())


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a word of a Dockerfile with its variables filled in; unknown ones are empty.

    Source of the forms: https://docs.docker.com/reference/dockerfile/#environment-replacement

    Raises:
        ValueError: a ``${`` is not closed, holds no name, or there are too many.

    """
    if text.count("${") > _MOST:
        raise ValueError(f"more than {_MOST} variables in one word")
    found = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\" and at < len(text):
            found.append(text[at])
            at += 1
        elif char == "$":
            value, at = _variable(text, at, values)
            found.append(value)
        elif char not in "\"'":
            found.append(char)
    return "".join(found)


def _variable(text: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    """Return the value of the variable whose ``$`` stands before ``at``, and where it ends."""
    if not text.startswith("{", at):
        name = _NAME.match(text, at)
        return (values.get(name[0], ""), name.end()) if name else ("$", at)
    end = _closing(text, at)
    inner = text[at + 1 : end]
    name = _NAME.match(inner)
    if not name:
        raise ValueError(f'"{text}" has ${{ without a name')
    return _changed(values.get(name[0]), inner[name.end() :], values), end + 1


def _closing(text: str, at: int) -> int:
    depth = 0
    for place in range(at, len(text)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place
    raise ValueError(f'"{text}" has ${{ without }}')


def _changed(value: str | None, how: str, values: Mapping[str, str]) -> str:
    """Return a value after what stands behind its name in ``${…}``."""
    if how.startswith(":"):
        how, value = how[1:], value or None
    kind, word = how[:1], how[1:]
    if kind == "-":
        return expand(word, values) if value is None else value
    if kind == "+":
        return "" if value is None else expand(word, values)
    value = value or ""
    whole = how[:2] in ("##", "%%", "//")
    word = expand(word[1:] if whole else word, values)
    if kind == "#":
        return _cut(value, word, longest=whole)
    if kind == "%":
        return _cut(value[::-1], word[::-1], longest=whole)[::-1]
    if kind == "/":
        old, _, new = word.partition("/")
        return re.sub(_glob(old), lambda _: new, value, count=0 if whole else 1) if old else value
    return value


def _cut(value: str, pattern: str, *, longest: bool) -> str:
    lengths = range(len(value) + 1)
    for length in reversed(lengths) if longest else lengths:
        if re.fullmatch(_glob(pattern), value[:length]):
            return value[length:]
    return value


def _glob(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def commands(script: str) -> Iterator[tuple[str, ...]]:
    """Yield the simple commands of a script, without assignments, keywords and redirections.

    Those of ``sh -c`` are yielded too. What stands after a quote that is never closed is left out.
    """
    words: list[str] = []
    for word in (*_words(script), ";"):
        if not _OPERATORS.issuperset(word):
            words.append(word)
            continue
        command = _bare(words)
        if command:
            yield command
            if command[0].rpartition("/")[2] in SHELLS and "-c" in command[:-1]:
                yield from commands(command[command.index("-c") + 1])
        words = []


def _words(script: str) -> Iterator[str]:
    text = _COMMENT.sub("", script.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    place = False
    try:
        for word in lexer:
            if _REDIRECTION.fullmatch(word):
                place = True
            elif place:
                place = False
            elif word:
                yield word
    except ValueError:  # a quote is not closed: the shell will say so
        return


def _bare(words: list[str]) -> tuple[str, ...]:
    at = 0
    while at < len(words) and (words[at] in _BEFORE or _ASSIGNMENT.fullmatch(words[at])):
        at += 1
    return tuple(words[at:])
