"""Files → :class:`~buildx_tasks.language.targets.Config`, or one clear error with its place.

The order: find, read, merge overlays (:mod:`sources`), check the structure (:mod:`structure`), fill
in variables (:mod:`variables`), work out matrices and inheritance (:mod:`expansion`).
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from buildx_tasks.language.expansion import expand
from buildx_tasks.language.git import Git
from buildx_tasks.language.given import given
from buildx_tasks.language.kinds import text_of
from buildx_tasks.language.overriding import Overriding
from buildx_tasks.language.sources import FILE_NAME, Sources, declared_in, find
from buildx_tasks.language.structure import check
from buildx_tasks.language.variables import Missing, Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from buildx_tasks.language.config import BuildxToml
    from buildx_tasks.language.targets import Config

__all__ = ["FILE_NAME", "Values", "declared_in", "find", "load"]


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
    git = Git(path.parent)
    told = given(sources, sets, environment)
    variables = Variables(sources.data.get("variable", {}), told, git, sources)
    variables.check_all()
    return expand(sources, variables, git, Overriding(told.overrides))


class Values(Mapping[str, Any]):
    """The values of a file's variables by name: str, int, float, bool or list of str.

    Each is worked out when it is asked for, as in the file: git is asked for none that is not used.
    A variable without a value is not there.
    """

    def __init__(self, path: Path, overlays: Sequence[str] = (), sets: Sequence[str] = ()) -> None:
        sources = Sources(path, overlays)
        declared = sources.data.get("variable", {})
        self._declared = list(declared)
        told = given(sources, sets, os.environ)
        self._variables = Variables(declared, told, Git(path.parent), sources)

    def __getitem__(self, name: str) -> Any:
        """Return a variable's value."""
        if name not in self._declared:
            raise KeyError(name)
        try:
            return self._variables.value(name)
        except Missing:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """Yield the names of those that have a value."""
        return (name for name in self._declared if name in self)

    def of_git(self) -> dict[str, str]:
        """Return those whose value comes from git, as ``--set`` takes them."""
        return self._as_set(self._variables.given_by_git)

    def of_here(self) -> dict[str, str]:
        """Return those whose value comes from the environment or a file of ``[env]``, likewise."""
        return self._as_set(self._variables.given_here)

    def _as_set(self, counts: Callable[[str], bool]) -> dict[str, str]:
        values = {name: self[name] for name in self._declared if counts(name) and name in self}
        return {
            name: ",".join(value) if isinstance(value, list) else text_of(value)
            for name, value in values.items()
        }

    def __len__(self) -> int:
        """Return how many have a value."""
        return len(list(iter(self)))


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
