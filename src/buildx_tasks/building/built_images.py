"""A project in; the images of its targets by name, as they were built last, out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildx_tasks.building import location
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.images.image import Image
    from buildx_tasks.workspace import Workspace


class BuiltImages(Mapping[str, "Image"]):
    """The images of a project's targets, each looked up when it is asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getitem__(self, name: str) -> Image:
        if name not in self._workspace.config.target:
            raise KeyError(name)
        (target,) = make_plan(self._workspace.config, [name]).targets
        return location.locate(self._workspace, target, ())

    def __iter__(self) -> Iterator[str]:
        config = self._workspace.config
        # One by one: not all of them can be built together.
        return (name for name in config.target if make_plan(config, [name]).images)

    def __len__(self) -> int:
        return len(list(iter(self)))
