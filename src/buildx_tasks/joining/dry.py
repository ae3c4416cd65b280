"""What a person could type in place of part and join: for ``--dry``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from buildx_tasks.joining import runs
from buildx_tasks.planning.cells import Cell
from buildx_tasks.planning.runs import part_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace


def parts(workspace: Workspace, plan: Plan, run_id: str) -> Iterator[str]:
    """Yield where the parts would wait: what is uploaded is made here, and no command makes it.

    Raises:
        UsageError: the id is none, or nothing selected leaves an image.

    """
    run = runs.run_of(workspace, plan, run_id)
    by_name = {one.target.name: one for one in run.targets}
    for target in plan.images:
        for cell in target.cells:
            place = by_name[cell.target].staging._replace(
                tag=part_tag(run.fixed.id, cell.target, cell.platform)
            )
            yield f"# {cell}: {place}"


def joined(
    workspace: Workspace, plan: Plan, run_id: str, tags: Mapping[str, tuple[Reference, ...]]
) -> Iterator[str]:
    """Yield commands that compose the same platforms, unjudged.

    Raises:
        UsageError: as :func:`parts`.

    """
    run = runs.run_of(workspace, plan, run_id)
    for one in run.targets:
        name = one.target.name
        sources = [
            str(one.staging._replace(tag=part_tag(run.fixed.id, name, platform)))
            for platform in one.target.declared
        ]
        cells = [str(Cell(name, platform)) for platform in one.target.declared]
        yield f"# of {', '.join(cells)}, each judged first"
        for tag in map(str, tags[name]):
            yield shlex.join(["docker", "buildx", "imagetools", "create", "--tag", tag, *sources])
