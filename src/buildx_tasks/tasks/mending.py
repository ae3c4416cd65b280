"""What ``lint --fix`` prints and writes."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from buildx_tasks.errors import BuildxTasksError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.project import Selection


def require_fix(fix: bool, yes: bool, form: str) -> None:
    """Do nothing where the flags of lint go together.

    Raises:
        UsageError: --yes alone, or a form that a diff does not have.

    """
    if yes and not fix:
        raise UsageError("lint: --yes writes what --fix shows; add --fix, or leave --yes out")
    if fix and form != "table":
        raise UsageError("lint: --fix shows a diff; leave --format out")


def _others(selection: Selection) -> Iterator[Plan]:
    """Yield a plan of each target that is not selected: it may build the same Dockerfile."""
    chosen = {target.name for target in selection.plan.targets}
    for name in selection.project.config.target:
        # What cannot be planned alone cannot be built either.
        if name not in chosen:
            with contextlib.suppress(BuildxTasksError):
                yield selection.project.select(name).plan


def mend(selection: Selection, *, write: bool) -> None:
    """Print what would make the selection's Dockerfiles compile natively, and write it where asked to."""
    from buildx_tasks.builders import capability
    from buildx_tasks.building.fixing import fixes
    from buildx_tasks.starting import writing
    from buildx_tasks.text import printable

    project = selection.project
    with capability.standing(project) as (_, native):
        found = fixes(project.root, selection.plan, native, _others(selection))
    changed = [one for one in found if one.after != one.before]
    if changed:
        before = {one.file: one.before for one in changed}
        print(
            printable(writing.diff(before, {one.file: one.after for one in changed}), kept="\n\t")
        )
    for one in found:
        for left in one.left:
            print(printable(f"{one.file}:{left.line} is left alone: {left.reason}"))
    if not changed:
        print("nothing to fix" if not found else "nothing is fixed")
    elif write and not project.commands.is_dry:
        writing.write(project.root, {one.file: one.after for one in changed})
        print(f"wrote {', '.join(one.file for one in changed)}; now invoke build verify")
    else:
        print("nothing is written yet: --yes writes it", file=sys.stderr)
