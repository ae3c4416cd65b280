"""A Dockerfile, and what an image's history says that made a layer, in; the line that says it out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import instructions

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUILDKIT = " # buildkit"
_VARIABLE = re.compile(r"\\\$(?:\\\{[^}]*\\\}|\w+)")  # in a text that re.escape made


def line_of(text: str, created_by: str) -> int:
    """Return the line of the Dockerfile whose instruction made a layer; 0 where it is not one line's.

    ``created_by`` is the entry of the image's history, as in ``RUN /bin/sh -c make # buildkit``.
    """
    made = _plain(created_by.partition(_BUILDKIT)[0])
    keyword = made.partition(" ")[0]
    try:
        listed = [one for one in instructions.read(text) if one.keyword == keyword]
    except ValueError:
        return 0
    found = {one.line for one in listed if any(_made(said, made) for said in _said(one))}
    return found.pop() if len(found) == 1 else 0


def _said(instruction: instructions.Instruction) -> Iterator[str]:
    """Give the ways in which BuildKit writes an instruction."""
    if instruction.keyword == "RUN" and instruction.heredocs:
        yield _plain("\n".join(instruction.heredocs))
    if instruction.json is not None:
        yield _plain(" ".join(instruction.json))
    yield _plain(instruction.arguments)


def _made(said: str, made: str) -> bool:
    if made.startswith("RUN "):
        return bool(said) and made.endswith(f" {said}")
    pattern = _VARIABLE.sub(".*", re.escape(said))
    return re.search(rf"(?:^| ){pattern}$", made) is not None


def _plain(text: str) -> str:
    return " ".join(text.split())
