"""Images in; their trees, or JSON, on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.errors import PushError
from buildx_tasks.images import description
from buildx_tasks.text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.images.description import Shown


def print_shown(images: Iterable[Shown], kind: str, fix: str) -> None:
    """Print each image as it comes (``tree``), or all at the end (``json``).

    Raises:
        PushError: some are not in their registry; ``fix`` says what to do.

    """
    found: list[Shown] = []
    for one in images:
        if kind == "tree":
            whole = one.digest not in {other.digest for other in found}
            print("\n".join(description.lines(one, whole=whole)), flush=True)
        found.append(one)
    if kind == "json":
        print(json_text([description.summary(one) for one in found]), end="")
    absent = [one.reference for one in found if not one.digest]
    if absent:
        raise PushError(f"not in the registry: {', '.join(absent)}; {fix}")
