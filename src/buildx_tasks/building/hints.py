"""A plan in; what lint's own rules say of each line of its Dockerfiles, without asking BuildKit, out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.builders.capability import local_text
from buildx_tasks.dockerfiles import rules
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native

Place = tuple[str, int]  # a Dockerfile as a person calls it, and a line


def hints(root: Path, plan: Plan, native: Native) -> dict[Place, list[Finding]]:
    """Return findings by place, as lint has them; Dockerfiles that cannot be read have none.

    ``native`` says which platforms were built without an emulator. What a target ignores is left out.
    """
    found: dict[Place, list[Finding]] = {}
    for build in dockerfile_builds(plan):
        text = local_text(build, root)
        ignored = plan.config.target[build.target].lint_ignore
        with suppress(ValueError):
            for one in rules.check(build, text, native) if text is not None else ():
                if one.code not in ignored:
                    found.setdefault((one.file, one.line), []).append(one)
    return found
