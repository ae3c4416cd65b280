"""A bake file's text → the attributes that its targets are given, where bake drops some in silence."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TARGET = re.compile(r'target\s+"([^"]+)"\s*\{')
_KEY = re.compile(r"([A-Za-z_][\w-]*)\s*=(?![=>])")
_SKIPPED = re.compile(
    r"(?:#|//)[^\n]*|/\*.*?\*/|<<-?(?P<mark>\w+)\n.*?\n[ \t]*(?P=mark)\b", re.DOTALL
)


class Given(NamedTuple):
    """One attribute of one target; ``line`` counts from 1, 0 where it is not known."""

    target: str
    key: str
    line: int


def given(text: str) -> Iterator[Given]:
    """Yield the attributes of a bake file, JSON or HCL; nothing for what is neither."""
    try:
        data = json.loads(text)
    except ValueError:
        yield from _of_hcl(text)
        return
    blocks = data.get("target", {}) if isinstance(data, dict) else {}
    for name, block in blocks.items() if isinstance(blocks, dict) else ():
        for table in block if isinstance(block, list) else [block]:
            yield from (Given(name, key, 0) for key in (table if isinstance(table, dict) else ()))


def without_comments(text: str) -> str:
    """Return HCL with spaces in place of comments: all else keeps its place."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0]) if match["mark"] is None else match[0]

    return _SKIPPED.sub(blank, text)


def _of_hcl(text: str) -> Iterator[Given]:
    at, depth, target, at_start = 0, 0, "", True
    while at < len(text):
        skipped = _SKIPPED.match(text, at)
        block = _TARGET.match(text, at) if depth == 0 and at_start else None
        key = _KEY.match(text, at) if depth == 1 and target and at_start else None
        mark = text[at]
        if skipped:
            at = skipped.end()
            continue
        if block:
            target, depth, at, at_start = block[1], 1, block.end(), True
            continue
        if key:
            yield Given(target, key[1], text.count("\n", 0, at) + 1)
            at = key.end()
        elif mark == '"':
            at = _after_string(text, at)
        else:
            depth += (mark in "{[(") - (mark in "}])")
            target = target if depth else ""
            at += 1
        at_start = mark == "\n" or (at_start and mark.isspace())


def _after_string(text: str, at: int) -> int:
    """Return where a string ends that starts at ``at``; templates in it may hold strings of their own."""
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 2
        elif text.startswith(("${", "%{"), at):
            at = _after_template(text, at + 2)
        else:
            at += 1
    return at + 1


def _after_template(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        if text[at] == '"':
            at = _after_string(text, at)
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
    return at
