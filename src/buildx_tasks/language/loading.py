"""Files → :class:`~buildx_tasks.language.targets.Config`, or one clear error with its place.

The order: find, read, merge overlays (:mod:`sources`), check the structure (:mod:`structure`), fill
in variables (:mod:`variables`), work out matrices and inheritance (:mod:`expansion`).
"""

from __future__ import annotations

import gc
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.language.expansion import expand
from buildx_tasks.language.git import Git
from buildx_tasks.language.sources import FILE_NAME, Sources, find
from buildx_tasks.language.structure import check
from buildx_tasks.language.variables import Given, Variables, parse_sets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.language.config import BuildxToml
    from buildx_tasks.language.targets import Config

__all__ = ["FILE_NAME", "find", "load"]


def load(
    path: Path,
    *,
    overlays: Sequence[str] = (),
    sets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check a file and its overlays; variables come from ``sets`` and ``environment``.

    Raises:
        ConfigError: it cannot be read or used; the message starts with ``file:line:column:``.
        UsageError: an overlay or a variable that was asked for does not exist.

    """
    with _collector_paused():
        return _load(path, overlays, sets, os.environ if environment is None else environment)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Measured on 5,000 targets: walking the growing tree again and again takes half of the time.
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # What was loaded stays to the end: no later collection need look at it.
        gc.freeze()
        if running:
            gc.enable()


def _load(
    path: Path, overlays: Sequence[str], sets: Sequence[str], environment: Mapping[str, str]
) -> Config:
    sources = Sources(path, overlays)
    declared = check(sources.data, sources.fail)
    _check_patterns(declared, sources)
    given = Given(parse_sets(sets), environment)
    git = Git(path.parent)
    variables = Variables(sources.data.get("variable", {}), given, git, sources)
    variables.check_all()
    return expand(sources, variables, git)


def _check_patterns(declared: BuildxToml, sources: Sources) -> None:
    for name, variable in declared.variable.items():
        rules = variable.validation or []
        for number, rule in enumerate(rules if isinstance(rules, list) else [rules]):
            try:
                re.compile(rule.pattern or "")
            except re.error as error:
                middle = (number,) if isinstance(rules, list) else ()
                raise sources.fail(
                    ("variable", name, "validation", *middle, "pattern"),
                    f'"{rule.pattern}" is no regular expression: {error}; correct it',
                    value=True,
                ) from None
