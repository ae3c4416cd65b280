"""Dockerfile text → instructions: lines joined, comments left out, here-documents set apart.

`dockerfile-parse` joins and splits the lines. What it does not know (here-documents, empty lines in a
continuation, the rules of ``# escape=``) is made plain for it first.
Source of the rules: https://docs.docker.com/reference/dockerfile/#format
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = frozenset({"check", "escape", "syntax"})
_INSTRUCTION = re.compile(r"\s*(\S+)\s+(.*)", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)\s*([^<]+)", re.DOTALL)
_HEREDOC_START = re.compile(r"\d*<<-?")
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_COMMENT = "COMMENT"  # what dockerfile-parse calls a comment
_LITERAL = "\ue000"  # stands for a backslash at the end of a line that does not continue


class Instruction(NamedTuple):
    """One instruction; ``value`` is all behind the keyword, ``line`` the first of its lines.

    ``last`` is the last one, that of a here-document's end included; 0 where nothing was read.
    """

    keyword: str
    value: str
    line: int
    heredocs: tuple[str, ...] = ()
    last: int = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags before the arguments, as in ``--from=builder``."""
        return tuple(self._split()[0])

    @property
    def arguments(self) -> str:
        """What stands behind the flags."""
        return self._split()[1]

    @property
    def json(self) -> list[str] | None:
        """The arguments, where they are written as a JSON list of strings."""
        return _json(self.arguments)

    def _split(self) -> tuple[list[str], str]:
        flags = []
        rest = self.value.strip()
        while rest.startswith("--"):
            flag, *after = rest.split(None, 1)
            flags.append(flag)
            rest = after[0] if after else ""
        return flags, rest


def read(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile.

    Raises:
        ValueError: a here-document is not ended, or ``# escape=`` names an impossible character.

    """
    from dockerfile_parse import DockerfileParser

    plain, heredocs, ends = _plain(text)
    # Given a stream, the parser touches no file.
    parser = DockerfileParser(fileobj=io.BytesIO(plain.encode()))
    for entry in parser.structure:
        if entry["instruction"] != _COMMENT:
            line = entry["startline"] + 1
            value = entry["value"].replace(_LITERAL, "\\")
            last = ends.get(line, line)
            yield Instruction(entry["instruction"], value, line, heredocs.get(line, ()), last)


def _plain(text: str) -> tuple[str, dict[int, tuple[str, ...]], dict[int, int]]:
    """Return text with the same lines that dockerfile-parse reads rightly, and the here-documents.

    They are found by the line of their instruction, as is its last line; their own lines are left empty.
    """
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    escape = re.escape(_escape(lines))
    continued = re.compile(rf"(?:^|(?<=[^{escape}])){escape}[ \t]*$")
    plain: list[str] = []
    found = {}
    ends = {}
    while len(plain) < len(lines):
        start = len(plain)
        last, joined = None, ""
        for number in range(start, len(lines)):
            line = lines[number]
            if line.lstrip().startswith("#") or (last is not None and not line.strip()):
                # An empty line does not end a continuation, and neither does a comment.
                plain.append("#")
                if last is None:
                    break
                continue
            kept = continued.sub("", line)
            alone = len(kept.split()) < 2 and not joined
            plain.append(_marked(kept, alone=alone) if kept != line else _ending(line))
            joined += kept
            last = number
            if kept == line:
                break
        else:
            if last is not None:  # nothing follows what is to be continued
                plain[last] = plain[last].rstrip("\\")
        bodies = []
        for name, chomp in _heredoc_names(joined):
            end = _end(lines, len(plain), name, chomp=chomp)
            if end is None:
                raise ValueError(
                    f"line {start + 1}: the here-document is never ended; write {name} on a line alone"
                )
            body = lines[len(plain) : end]
            bodies.append(
                "\n".join(line.lstrip("\t") for line in body) if chomp else "\n".join(body)
            )
            plain += [""] * (len(body) + 1)
        if bodies:
            found[start + 1] = tuple(bodies)
        ends[start + 1] = len(plain)
    return "\n".join(plain) + "\n", found, ends


def _marked(kept: str, *, alone: bool) -> str:
    """Return a line that is continued; dockerfile-parse wants a space behind a keyword that is alone."""
    if not kept.strip():
        return "#" if alone else "\\"
    return kept + (" \\" if alone else "\\")


def syntax(text: str) -> tuple[str, int]:
    """Return the frontend that ``# syntax=`` names, and its line; ``""`` and 0 where there is none."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match[1].lower() not in _DIRECTIVES:
            break
        if match[1].lower() == "syntax":
            return match[2].split()[0], number
    return "", 0


def _escape(lines: list[str]) -> str:
    """Return the character that continues a line: directives stand before anything else."""
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match[1].lower() not in _DIRECTIVES:
            break
        if match[1].lower() == "escape":
            if match[2] not in ("\\", "`"):
                raise ValueError(f'# escape={match[2]}: the character must be "\\" or "`"')
            return match[2]
    return "\\"


def _ending(line: str) -> str:
    bare = line.rstrip()
    return bare[:-1] + _LITERAL if bare.endswith("\\") else line


def _heredoc_names(line: str) -> Iterator[tuple[str, bool]]:
    """Yield the words that end the here-documents of an instruction, and whether ``<<-`` began them."""
    if "<<" not in line:
        return
    from dockerfile_parse.util import WordSplitter

    match = _INSTRUCTION.fullmatch(line)
    if match and match[1].upper() == "ONBUILD":
        match = _INSTRUCTION.fullmatch(match[2])
    if not match or match[1].upper() not in _WITH_HEREDOCS:
        return
    if Instruction(match[1], match[2], 0).json is not None:
        return
    words = iter(WordSplitter(match[2]).split(dequote=False))
    for word in words:
        whole = word + next(words, "") if _HEREDOC_START.fullmatch(word) else word
        heredoc = _HEREDOC.fullmatch(whole)
        if heredoc:
            yield WordSplitter(heredoc[2]).dequote(), bool(heredoc[1])


def _end(lines: list[str], start: int, name: str, *, chomp: bool) -> int | None:
    for number in range(start, len(lines)):
        if (lines[number].lstrip("\t") if chomp else lines[number]) == name:
            return number
    return None


def _json(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if all(isinstance(item, str) for item in found) else None
