"""What all tasks share: their flags, the loaded project, errors as a message and a code."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from invoke import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoke import Context

    from buildx_tasks.project import Project, Selection

SELECTION = {
    "target": "Target, group or glob (repeatable); default: the group default, or all targets",
    "platform": "Platform, as in linux/arm64 (repeatable); default: all that are declared",
}
INPUT = {
    "overlay": "Merge buildx.NAME.toml over buildx.toml (repeatable); also BUILDX_TASKS_OVERLAY=a,b",
    "set": "Value of a variable, as in VERSION=1.2 (repeatable)",
}
SELECTION.update(INPUT)
ITERABLE = ["target", "platform", "overlay", "set_"]

# What a flag that repeats may be given in a call from Python: one text, several, or none.
Texts = Optional[Union[str, "Sequence[str]"]]


def texts(given: Texts) -> list[str]:
    """Return what was given to a flag that repeats as a list."""
    return [given] if isinstance(given, str) else list(given or ())


def names(given: Texts) -> list[str]:
    """Return the same with lists in it taken apart: docker's own --platform takes one with commas."""
    return [part for value in texts(given) for part in value.split(",")]


@contextmanager
def loaded(c: Context, overlay: Texts, set_: Texts) -> Iterator[Project]:
    """Yield the nearest project; overlays and values as --overlay and --set give them."""
    from buildx_tasks.language.variables import parse_sets
    from buildx_tasks.project import Project

    values = parse_sets(texts(set_))
    with Project.load(overlays=texts(overlay), values=values, context=c) as project:
        yield project


def selected(project: Project, target: Texts, platform: Texts = None) -> Selection:
    """Return what -t and -p select."""
    return project.select(*names(target), platforms=names(platform))


def plainly(body: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into a message and an exit code, and Ctrl-C into 130, without traceback."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from buildx_tasks.errors import BuildxTasksError

        try:
            body(*args, **kwargs)
        except BuildxTasksError as error:
            raise Exit(f"error: {error}" if error.code == 1 else str(error), error.code) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", 130) from None

    return wrapped


def require_known(option: str, kind: str, known: Sequence[str]) -> None:
    """Refuse a value that is not of a closed set.

    Raises:
        UsageError: with the nearest one that is.

    """
    from buildx_tasks.errors import UsageError, nearest

    if kind not in known:
        hint = nearest(kind, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'{option}: unknown kind "{kind}"{hint}')
