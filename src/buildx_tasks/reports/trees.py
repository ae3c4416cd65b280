"""Images in; their trees, or JSON, on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.errors import PushError
from buildx_tasks.images import description
from buildx_tasks.reports import tables
from buildx_tasks.text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.images.description import Shown


def print_shown(images: Iterable[Shown], kind: str, fix: str, *, full: bool = False) -> None:
    """Print each image as it comes (``tree``), or all at the end (``json``).

    Raises:
        PushError: some are not in their registry; ``fix`` says what to do.

    """
    found: list[Shown] = []
    for one in images:
        if kind == "tree":
            whole = one.digest not in {other.digest for other in found}
            print("\n".join(_fitting(description.lines(one, whole=whole), full)), flush=True)
        found.append(one)
    if kind == "json":
        print(json_text([description.summary(one) for one in found]), end="")
    absent = [one.reference for one in found if not one.digest]
    if absent:
        raise PushError(f"not in the registry: {', '.join(absent)}; {fix}")


def _fitting(lines: Iterable[str], full: bool) -> Iterable[str]:
    """Return lines as a terminal can show them, where there is one."""
    most = None if full else tables.width()
    return lines if most is None else [tables.cut(tables.shortened(one), most) for one in lines]
