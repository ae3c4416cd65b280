"""One Dockerfile to be built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.references import REMOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.platforms import Platform


class DockerfileBuild(NamedTuple):
    """A Dockerfile and the platforms that it is built for; ``attributes`` are those of bake's target.

    ``name`` is what bake calls its target, ``file`` what a person calls the Dockerfile: its path from
    the project's folder. ``apart`` says that one platform of the target has this build for itself.
    """

    target: str
    name: str
    file: str
    attributes: dict[str, Any]
    platforms: tuple[Platform, ...]
    apart: bool = False

    @property
    def args(self) -> Mapping[str, str]:
        """The build arguments."""
        found: Mapping[str, str] = self.attributes.get("args", {})
        return found

    @property
    def contexts(self) -> Mapping[str, str]:
        """The named contexts."""
        found: Mapping[str, str] = self.attributes.get("contexts", {})
        return found

    @property
    def stage(self) -> str:
        """The stage to build; ``""`` for the last one."""
        return str(self.attributes.get("target", ""))

    @property
    def is_remote(self) -> bool:
        """Whether the context, and the Dockerfile with it, is somewhere else."""
        return bool(REMOTE.match(self.attributes.get("context", ".")))
