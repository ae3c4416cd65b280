"""What a build did, step by step: of which cells each step is, as the steps that need it tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Step(NamedTuple):
    """A step of a build: a vertex of BuildKit's graph that was begun.

    ``cells`` are written ``hello@linux/arm64``; a step that several share was carried out once.
    ``name`` is the instruction with its values, as ``RUN go build ./...``, or what BuildKit does
    beside them, as ``exporting to image``; times in which no step ran are steps, too, whose digest
    begins with ``rest-``. ``place`` is where it stands, as ``build 4/6``, ``2/2`` or
    ``internal``. ``platform`` is the one that it ran on, ``""`` where it is not said; ``dockerfile``
    and ``line`` are where it is written, ``""`` and None where that is not known.

    ``started`` and ``ended`` are seconds from the build's start; ``ended`` is None for what was never
    ended. ``bytes`` are those that were pulled, sent or pushed. ``error`` is BuildKit's own.
    ``inputs`` are the digests of the steps that it needs; with ``bake``, the number of the bake of a
    build that has several, ``digest`` tells steps apart.
    """

    cells: tuple[str, ...]
    name: str
    digest: str
    place: str = ""
    platform: str = ""
    dockerfile: str = ""
    line: Optional[int] = None  # noqa: UP045 - read at run time on Python 3.9
    started: float = 0.0
    ended: Optional[float] = None  # noqa: UP045
    is_cached: bool = False
    is_emulated: bool = False
    bytes: int = 0
    error: str = ""
    inputs: tuple[str, ...] = ()
    bake: int = 1

    @property
    def instruction(self) -> str:
        """The word that a step of a Dockerfile begins with, as RUN or FROM; ``""`` for others."""
        word = self.name.partition(" ")[0]
        return word if word.isupper() and self.place != "internal" else ""


def spread(
    own: Mapping[str, Iterable[str]],
    vague: Mapping[str, Iterable[str]],
    inputs: Mapping[str, Iterable[str]],
) -> dict[str, set[str]]:
    """Return the cells of each step: its own, and all of the steps that need it.

    ``own`` are those that a step's name tells; ``vague`` those that it can be of, where its name does
    not tell the platform: they count where no other step does. ``inputs`` are the graph; it may name
    steps that are not there, and go in a circle.
    """
    found: dict[str, set[str]] = {}
    waiting = [(digest, set(cells)) for digest, cells in own.items() if cells]
    while waiting:
        digest, cells = waiting.pop()
        new = cells - found.setdefault(digest, set())
        if not new:
            continue
        found[digest] |= new
        waiting += [(one, new) for one in inputs.get(digest, ())]
    for digest, possible in vague.items():
        if not found.get(digest):
            found[digest] = set(possible)
    return found
