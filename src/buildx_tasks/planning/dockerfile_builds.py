"""The Dockerfiles that a plan builds, each with the platforms that it is for."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.language.targets import LINK, platform_helper
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.cells import Selected


def dockerfile_builds(plan: Selected) -> Iterator[DockerfileBuild]:
    """Yield the Dockerfiles of a plan, of linked targets too.

    A target with overrides for single platforms has one for each of those, and one for the others.
    """
    for target in (*plan.targets, *plan.linked):
        selected = target.platforms or target.declared
        overrides = target.spec.overrides
        has_helpers = any(platform in overrides for platform in selected)
        shared = tuple(platform for platform in selected if platform not in overrides)
        builds = [(shared, target.spec.attributes)] if shared else []
        builds += [((p,), overrides[p]) for p in selected if p in overrides]
        for platforms, own in builds:
            attributes = _with_files(own) if target.spec.files else own
            name = platform_helper(target.name, platforms[0]) if has_helpers else target.name
            yield DockerfileBuild(
                target.name,
                name,
                _file(target.name, attributes),
                attributes,
                platforms,
                apart=platforms != shared,
            )


def _with_files(attributes: Attributes) -> Attributes:
    """Return attributes with the context that ``[target.NAME.files]`` comes to."""
    contexts = {**attributes.get("contexts", {}), "files": f"{LINK}files"}
    return {**attributes, "contexts": contexts}


def _file(target: str, attributes: Attributes) -> str:
    """Return what a person calls the Dockerfile: its path from the project's folder."""
    if "dockerfile-inline" in attributes:
        return f"[target.{target}] dockerfile-inline"
    context = attributes.get("context", ".")
    name: str = attributes.get("dockerfile", "Dockerfile")
    if name.startswith(CWD):
        return posixpath.normpath(name[len(CWD) :])
    if REMOTE.match(context):
        return f"{context} {name}"
    return posixpath.normpath(posixpath.join(context, name))
