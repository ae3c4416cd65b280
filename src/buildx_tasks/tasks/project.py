"""What all tasks share: the flags that select, the loaded project, errors as a message and a code."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from invoke import Exit

if TYPE_CHECKING:
    from buildx_tasks.language.expansion import Config
    from buildx_tasks.planning.selection import Plan

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
OVERLAY_VARIABLE = "BUILDX_TASKS_OVERLAY"


class Project(NamedTuple):
    """A loaded project: its folder, the file that declares it, and what that comes to."""

    root: Path
    file: Path
    config: Config

    def plan(self, targets: list[str], platforms: list[str] | None = None) -> Plan:
        """Select targets and platforms, as -t and -p name them."""
        from buildx_tasks.planning.selection import make_plan

        return make_plan(self.config, _split(targets), _split(platforms or []))


def _split(values: list[str]) -> list[str]:
    # docker's own --platform takes a list with commas; no name has one.
    return [part for value in values for part in value.split(",")]


def load(overlay: list[str] | None = None, sets: list[str] | None = None) -> Project:
    """Load the nearest project; overlays and values as --overlay and --set give them."""
    from buildx_tasks.language import loading

    path = loading.find(Path.cwd())
    named = os.environ.get(OVERLAY_VARIABLE, "").split(",")
    overlays = overlay or [name.strip() for name in named if name.strip()]
    return Project(path.parent, path, loading.load(path, overlays=overlays, sets=sets or ()))


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


def say(line: str) -> None:
    """Print a line beside the task's output proper."""
    print(line, file=sys.stderr, flush=True)


def require_format(kind: str, *known: str) -> None:
    """Refuse a --format that the task does not have.

    Raises:
        UsageError: with the nearest one that it has.

    """
    from buildx_tasks.errors import UsageError, nearest

    if kind not in known:
        hint = nearest(kind, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'--format: unknown kind "{kind}"{hint}')
