"""What the tasks of one command line hand on: -t, -p, -o, --set, each until a task has its own."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from buildx_tasks.tasks.flags import LETTERS, Taken, Typed

if TYPE_CHECKING:
    from collections.abc import Collection

    from invoke import Context

KINDS = {"target": "target", "platform": "platform", "overlay": "overlay", "set_": "set"}
_KEPT = "_buildx_tasks_chain"


def continued(
    c: Context, called: str, given: dict[str, Any], lacking: Collection[str]
) -> dict[str, Any]:
    """Return what a task gets: its own flags, and for ``lacking`` kinds those of earlier tasks.

    invoke keeps one configuration for all tasks of a command line: what is handed on is kept there.
    A call from Python, or in ``pre``, that names something itself stands by itself.
    """
    own = [kind for kind in KINDS if _is_given(given.get(kind))]
    if any(not isinstance(given[kind], Typed) for kind in own):
        return given
    config = c.config
    chain: dict[str, tuple[str, list[str]]] = vars(config).get(_KEPT, {})
    taken = [kind for kind in KINDS if kind in lacking and kind not in own and kind in chain]
    if taken:
        _tell(called, {kind: chain[kind] for kind in taken})
    typed = {kind: (called, list(given[kind])) for kind in own}
    object.__setattr__(config, _KEPT, {**chain, **typed})  # its own keys are settings
    return {**given, **{kind: Taken(chain[kind][1]) for kind in taken}}


def _is_given(value: Any) -> bool:
    # An empty text is: it will be refused, and never be "everything".
    return value is not None and (isinstance(value, str) or bool(value))


def _tell(called: str, taken: dict[str, tuple[str, list[str]]]) -> None:
    parts: dict[str, list[str]] = {}
    for kind, (source, values) in taken.items():
        letter = LETTERS[KINDS[kind]]
        parts.setdefault(source, []).extend(f"-{letter} {shlex.quote(value)}" for value in values)
    said = ", ".join(f"{' '.join(flags)} from {source}" for source, flags in parts.items())
    print(f"{called} takes over {said}", file=sys.stderr, flush=True)
