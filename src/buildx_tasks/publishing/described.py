"""A report in; the same with the commit, the tags, and how sizes differ from what is published, out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.engine import buildkit
from buildx_tasks.errors import EngineError, UsageError
from buildx_tasks.language.git import Git, GitError, GitRefusedError
from buildx_tasks.publishing import comparing
from buildx_tasks.records import builds

if TYPE_CHECKING:
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.verification.results import Report
    from buildx_tasks.workspace import Workspace


def described(workspace: Workspace, plan: Plan, report: Report) -> Report:
    """Return a report for others: whoever reads it was not there.

    Asks git and the registries; what these do not say is left out, or said in their place.

    Raises:
        EngineError: the engine does not give an image any more.

    """
    names = {result.target for result in report.results}
    targets = [one for one in plan.images if one.name in names]
    found = comparing.with_published(workspace, targets)
    return report._replace(
        tools={**_builders(workspace, {one.name for one in targets}), **report.tools},
        commit=_commit(workspace),
        tags={one.name: tuple(one.spec.tags) for one in targets},
        differences=tuple(found),
    )


def _builders(workspace: Workspace, targets: set[str]) -> dict[str, str]:
    """Return the versions that the last build of some targets was made with, as far as they are known."""
    found: dict[str, str] = {}
    with suppress(EngineError):
        for identity in builds.recent(workspace.root):
            build = builds.read(workspace.root, identity)
            if targets.intersection(cell.id.partition("@")[0] for cell in build.cells):
                found = dict(build.versions)
                break
        # The engine's own is not in the record of its builds.
        if "engine" in found and "buildkit" not in found:
            found["buildkit"] = buildkit.version(workspace.engine.api)
    named = {"BuildKit": found.get("buildkit", ""), "buildx": found.get("buildx", "")}
    return {name: version for name, version in named.items() if version}


def _commit(workspace: Workspace) -> str:
    """Return the commit, with ``-dirty`` where the tree has changes; ``""`` where there is none."""
    git = Git(workspace.root)
    with suppress(GitError, GitRefusedError, UsageError):
        return git.get("commit") + ("-dirty" if git.get("dirty") == "true" else "")
    return ""
