"""A platform's manifest and config in; its layers, with the instructions that made them, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.text import printable

if TYPE_CHECKING:
    from buildx_tasks.registry.manifests import Config, Content

_WIDTH = 80  # characters of an instruction that are shown
# What the builders put around an instruction, as in `RUN |1 A=b /bin/sh -c make # buildkit`.
_WRAPPED = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\)\s*)?", re.DOTALL)


class Layer(NamedTuple):
    """One layer: ``size`` is its compressed bytes, ``content`` the digest of it unpacked.

    ``made_by`` is the history's entry (see :func:`instruction`), ``""`` where that is not known.
    """

    digest: str
    size: int
    made_by: str = ""
    content: str = ""


def layers_of(manifest: Content, config: Config) -> tuple[Layer, ...]:
    """Return the layers that a manifest and its config speak of, the first one below the others."""
    made_by = [step.created_by or "" for step in config.history if not step.empty_layer]
    layers = manifest.layers
    if len(made_by) != len(layers):  # history may be left out
        made_by = [""] * len(layers)
    contents = list(config.diff_ids)
    if len(contents) != len(layers):
        contents = [one.digest for one in layers]
    return tuple(
        Layer(one.digest, one.size, how, content)
        for one, how, content in zip(layers, made_by, contents)
    )


def instruction(made_by: str) -> str:
    """Return a history entry's ``created_by`` as it was written, shortened to one short line."""
    text = made_by.partition(" # buildkit")[0]
    wrapped = _WRAPPED.match(text)
    if wrapped:
        text = ("" if wrapped[1] else "RUN ") + text[wrapped.end() :]
    text = printable(" ".join(text.split()))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
