"""Images of a test's own, built once, and what a walk through one platform of one finds."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Callable

from support import workspaces

from buildx_tasks.building import location
from buildx_tasks.language.expectations import Binaries
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.verification.check import Found, Subject
from buildx_tasks.verification.checks import binaries, files
from buildx_tasks.verification.containers import SESSION, Session
from buildx_tasks.verification.walk import walk

from .conftest import docker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conftest import Project

Look = Callable[..., list[Found]]


@contextmanager
def looked(project: Project) -> Iterator[Look]:
    """Build the project; give ``look(target, platform, spec, …)``: one walk, what each spec finds.

    A spec is Binaries, or a table of files.
    """
    project.ok("build", "--progress", "quiet")
    with (
        closing(workspaces.declared(project.folder)) as workspace,
        closing(Session(workspace)) as session,
    ):
        targets = {target.name: target for target in make_plan(workspace.config).targets}

        def look(name: str, platform: str, *specs: Any) -> list[Found]:
            target = targets[name]
            image = location.require(workspace.engine, target)
            subject = Subject(session, target, image, parse(platform))
            visitors: list[Any] = [
                (binaries if isinstance(spec, Binaries) else files).visitor(subject, spec)
                for spec in specs
            ]
            return walk(subject, visitors)

        yield look
        session.close()
        ours = docker("ps", "--all", "--quiet", "--filter", f"label={SESSION}={session.id}")
    tags = [tag for target in targets.values() for tag in target.spec.tags]
    docker("image", "rm", "--force", *tags)
    assert ours == ""


def targets_of(stages: Mapping[str, tuple[str, ...]], tag: str) -> str:
    """Return a buildx.toml with a target for each stage of the Dockerfile."""
    lines = []
    for stage, platforms in stages.items():
        lines += [f"[target.{stage}]", f'target = "{stage}"', f'tags = ["{tag}-{stage}:1"]']
        lines += [f"platforms = {list(platforms)}", 'attest = ["type=provenance,disabled=true"]']
    return "\n".join(lines).replace("'", '"') + "\n"
