"""What a person means without saying it: the file of the folder, the overlays of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.errors import UsageError
from buildx_tasks.language import loading

if TYPE_CHECKING:
    from invoke import Context

_OVERLAYS = "BUILDX_TASKS_OVERLAY"


def file(context: Context | None) -> Path:
    """Return the file beside the tasks file that invoke loaded; else the nearest one.

    Raises:
        ConfigError: there is none.

    """
    here = Path.cwd()
    # invoke keeps the folder for its own configuration files, and has no public name for it.
    prefix = vars(context.config).get("_project_prefix") if context is not None else None
    if not prefix:
        return loading.find(here)
    beside = Path(prefix).resolve()  # -r .. too; the current folder is resolved as well
    found = loading.declared_in(beside)
    return found or loading.find(here if beside in (here, *here.parents) else beside)


def has_file(context: Context | None) -> bool:
    """Say whether there is one.

    Raises:
        ConfigError: there are two in one folder.

    """
    here = Path.cwd()
    prefix = vars(context.config).get("_project_prefix") if context is not None else None
    folders = {here, *here.parents, *([Path(prefix).resolve()] if prefix else ())}
    return any(loading.declared_in(folder) for folder in folders)


def overlays() -> list[str]:
    """Return the names of overlays that BUILDX_TASKS_OVERLAY gives.

    Raises:
        UsageError: one is empty.

    """
    given = os.environ.get(_OVERLAYS, "").strip()
    names = [name.strip() for name in given.split(",")] if given else []
    if not all(names):
        raise UsageError(f'{_OVERLAYS}: "{given}" has an empty entry; take the comma out')
    return names
