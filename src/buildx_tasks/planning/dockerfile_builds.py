"""The Dockerfiles that a plan builds, each with the platforms that it is for."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.language.expansion import LINK
from buildx_tasks.language.merging import REMOTE
from buildx_tasks.planning.helpers import helper_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform

_CWD = "cwd://"  # bake's mark for a path of the caller's machine


class Case(NamedTuple):
    """A Dockerfile and the platforms that it is built for.

    ``name`` is what bake calls its target, ``file`` what a person calls the Dockerfile: its path from
    the project's folder. ``apart`` says that one platform of the target has this build for itself.
    """

    target: str
    name: str
    file: str
    attributes: Attributes
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


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the Dockerfiles of a plan, of linked targets too.

    A target with overrides for single platforms has one for each of those, and one for the others.
    """
    for target in (*plan.targets, *plan.linked):
        selected = target.platforms or target.declared
        overrides = target.spec.overrides
        helpers: dict[Platform, str] = {}
        if any(platform in overrides for platform in selected):
            names = helper_names(target.spec, target.name, target.declared)
            helpers = dict(zip(target.declared, names[-len(target.declared) :]))
        shared = tuple(platform for platform in selected if platform not in overrides)
        builds = [(shared, target.spec.attributes)] if shared else []
        builds += [((p,), overrides[p]) for p in selected if p in overrides]
        for platforms, own in builds:
            attributes = _with_files(own) if target.spec.files else own
            name = helpers.get(platforms[0], target.name)
            file = _file(target.name, attributes)
            yield Case(target.name, name, file, attributes, platforms, apart=platforms != shared)


def _with_files(attributes: Attributes) -> Attributes:
    """Return attributes with the context that ``[target.NAME.files]`` comes to."""
    contexts = {**attributes.get("contexts", {}), "files": f"{LINK}files"}
    return {**attributes, "contexts": contexts}


def _file(target: str, attributes: Attributes) -> str:
    if "dockerfile-inline" in attributes:
        return f"[target.{target}] dockerfile-inline"
    context = attributes.get("context", ".")
    name: str = attributes.get("dockerfile", "Dockerfile")
    if name.startswith(_CWD):
        return posixpath.normpath(name[len(_CWD) :])
    if REMOTE.match(context):
        return f"{context} {name}"
    return posixpath.normpath(posixpath.join(context, name))


def local_text(case: Case, root: Path) -> str | None:
    """Return a Dockerfile's text without asking an engine; None where it is not here."""
    if "dockerfile-inline" in case.attributes:
        return str(case.attributes["dockerfile-inline"])
    path = root / case.file
    if not path.exists():
        path = path.with_name(path.name.lower())  # buildx takes `dockerfile` too
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
