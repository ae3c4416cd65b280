"""Text in; text that Markdown takes literally, and tables of it, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def plain(text: str) -> str:
    """Return text that Markdown takes literally."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", visible(text).replace("\n", " "))


def code(text: str) -> str:
    """Return text as code, in a table too."""
    shown = visible(text).replace("\n", " ").replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> Iterator[str]:
    """Yield a table's lines; ``right`` names the headings of numbers, separated by spaces."""
    numbers = right.split()
    yield f"| {' | '.join(headings)} |"
    yield f"|{'|'.join('--:' if one in numbers else ':--' for one in headings)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
