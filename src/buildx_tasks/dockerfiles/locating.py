"""A step as BuildKit names it in; the instruction of the Dockerfile that it is, out. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import references
from buildx_tasks.dockerfiles.stages import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed, Stage

# Those that BuildKit counts in ``3/7``: the others change nothing but the image's config.
_COUNTED = frozenset({"ADD", "COPY", "RUN", "WORKDIR"})
_NUMBER = re.compile(r"(?:(?P<stage>\S+) +)?(?P<number>\d{1,4})/(?P<total>\d{1,4})")
# What BuildKit may have filled in or taken away.
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*)")
_LOOSE = re.compile(r"[\s\"'\\]+")
_LONGEST = 2_000  # characters that are compared


class Located(NamedTuple):
    """An instruction: its line, and the stage that it is in."""

    line: int
    placed: Placed


def located(stages: Sequence[Placed], place: str, name: str) -> Located | None:
    """Return the instruction of a step, or None where that is not certain.

    ``stages`` are those of the platform that it is for, ``place`` is as in ``build 4/6``, ``name`` the
    instruction with its values.
    """
    if place.endswith("internal"):
        return _image(stages, name)
    match = _NUMBER.fullmatch(place)
    if not match:
        return None
    label = (match["stage"] or "").lower()
    for one in stages:
        # BuildKit leaves out the name of a Dockerfile's only stage.
        if one.stage.label != label if label else len(stages) > 1:
            continue
        if name.startswith("FROM "):
            return Located(one.stage.line, one)
        found = _instruction(one.stage, name, int(match["total"]) - int(match["number"]))
        if found:
            return Located(found.line, one)
    return None


def _instruction(stage: Stage, name: str, after: int) -> Instruction | None:
    """Return the instruction that reads like a step; of several the one that so many come ``after``."""
    counted = [one for one in stage.instructions if one.keyword in _COUNTED]
    alike = [one for one in counted if _reads_like(f"{one.keyword} {one.value}", name)]
    if len(alike) > 1:
        placed = counted[-1 - after] if after < len(counted) else None
        return placed if placed in alike else alike[0]
    return alike[0] if alike else None


def _reads_like(written: str, name: str) -> bool:
    """Say whether a text is what another one comes to once its variables are filled in."""
    # BuildKit shows the first lines of a here-document behind it.
    shown = name.rpartition(" (")[0] if "<<" in written and name.endswith(")") else name
    parts = [_LOOSE.sub("", part) for part in _VARIABLE.split(written[:_LONGEST])]
    text = _LOOSE.sub("", shown[:_LONGEST])
    if len(parts) == 1:
        return text == parts[0]
    if not text.startswith(parts[0]):
        return False
    at = len(parts[0])
    for part in parts[1:-1]:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= at


def _image(stages: Sequence[Placed], name: str) -> Located | None:
    """Return the FROM whose image a step looks up."""
    image = name.partition("load metadata for ")[2]
    if not image:
        return None
    for one in stages:
        if one.stage.base == SCRATCH or one.base is not None:
            continue
        try:
            is_its = references.familiar(one.stage.base) == references.familiar(image)
        except ValueError:
            continue
        if is_its:
            return Located(one.stage.line, one)
    return None
