"""Texts in; lines of YAML that mean them, out: as plain as they can be."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"[A-Za-z/$].*[^\s:]|[A-Za-z/]")
_MARKS = (": ", " #")  # what ends a plain text
_WORDS = frozenset("true false yes no on off null y n".split())


def scalar(text: str) -> str:
    """Return a text as YAML reads it: plain, or as JSON writes it."""
    is_plain = _PLAIN.fullmatch(text) and text.isprintable() and text.lower() not in _WORDS
    return text if is_plain and not any(mark in text for mark in _MARKS) else json_line(text)


def mapping(values: Mapping[str, str], indent: int) -> str:
    """Return one line for each pair."""
    return "".join(f"{' ' * indent}{key}: {scalar(value)}\n" for key, value in values.items())


def items(values: Iterable[str], indent: int) -> str:
    """Return one line of a list for each text."""
    return "".join(f"{' ' * indent}- {scalar(value)}\n" for value in values)


def indented(text: str, indent: int) -> str:
    """Return lines further to the right."""
    return textwrap.indent(text, " " * indent)
