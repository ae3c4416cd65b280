"""Workspaces as tests need them: of a project's file, or of nothing declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.language import loading
from buildx_tasks.language.config import Emulators
from buildx_tasks.language.targets import Config
from buildx_tasks.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def declared(folder: Path, client: Any = None) -> Workspace:
    """The project that the folder's buildx.toml declares."""
    path = folder / "buildx.toml"
    return Workspace(path, loading.load(path), client=client)


def bare(folder: Path, client: Any = None) -> Workspace:
    """A project in which nothing is declared."""
    return Workspace(folder / "buildx.toml", Config({}, {}, None, Emulators()), client=client)
