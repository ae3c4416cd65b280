"""A plan in; its Dockerfiles that compile natively, and what of them is left alone, out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.builders.capability import local_text
from buildx_tasks.dockerfiles import fixing
from buildx_tasks.dockerfiles.fixing import Left
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.fixing import Fixed
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native


class FileFix(NamedTuple):
    """A Dockerfile, by its path from the project's folder; ``after`` is ``before`` where it stays."""

    file: str
    before: str
    after: str
    left: tuple[Left, ...]


def fixes(root: Path, plan: Plan, native: Native, others: Iterable[Plan] = ()) -> list[FileFix]:
    """Return what becomes of each Dockerfile; those with nothing to be said of are left out.

    One that several targets build, those of ``others`` too, is changed only where all want the same.
    """
    builds: dict[str, list[DockerfileBuild]] = {}
    for build in dockerfile_builds(plan):
        if (
            not build.is_remote
            and "EmulatedCompile" not in plan.config.target[build.target].lint_ignore
        ):
            builds.setdefault(build.file, []).append(build)
    for build in (one for other in others for one in dockerfile_builds(other)):
        if build.file in builds and build not in builds[build.file]:
            builds[build.file].append(build)
    found = []
    for file, its in builds.items():
        text = local_text(its[0], root)
        if text is None:
            continue
        # A target for one platform alone is none that must stay as it is.
        platforms = tuple(dict.fromkeys(platform for one in its for platform in one.platforms))
        made = [_fixed(one._replace(platforms=platforms), text, native) for one in its]
        left = tuple(dict.fromkeys(one for each in made for one in each.left))
        after = made[0].text
        if apart := sorted({b.target for b, one in zip(its, made) if one.text != after}):
            reason = f"{its[0].target} would have it fixed in another way than {', '.join(apart)}"
            left, after = (Left(1, reason),), text
        if after != text and (reason := _unwritable(root, file, its[0])):
            left, after = (Left(1, reason),), text
        if left or after != text:
            found.append(FileFix(file, text, after, left))
    return found


def _fixed(build: DockerfileBuild, text: str, native: Native) -> Fixed:
    try:
        return fixing.fix(build, text, native)
    except ValueError as error:
        return fixing.Fixed(text, (Left(1, f"it cannot be read: {error}"),))


def _unwritable(root: Path, file: str, build: DockerfileBuild) -> str:
    """Return why a file is not ours to write; ``""`` where it is."""
    if "dockerfile-inline" in build.attributes:
        return "it is in the project's file; put it into a Dockerfile first"
    path = root / file
    if not path.is_file() or path.is_symlink() or not os.access(path, os.W_OK):
        return "it is a link, or may not be written"
    if root.resolve() not in path.resolve().parents:
        return "it is outside the project's folder"
    return ""
