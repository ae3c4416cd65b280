"""What makes and starts images: build, run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.project import ITERABLE, SELECTION, load, plainly, say

if TYPE_CHECKING:
    from invoke import Context


@task(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "progress": "How buildx shows its work: auto, plain, tty, quiet or rawjson",
        "no-cache": "Build every step anew",
        "pull": "Look for newer base images",
    },
)
@plainly
def build(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    progress: str = "auto",
    no_cache: bool = False,
    pull: bool = False,
) -> None:
    """Build the selected targets for all their platforms with one docker buildx bake."""
    from buildx_tasks.building import bake as building
    from buildx_tasks.reports import terminal as report

    project = load(overlay, set_)
    built = building.build(
        c,
        project.plan(target, platform),
        project.root,
        progress=_progress(progress),
        no_cache=no_cache,
        pull=pull,
    )
    if built:
        report.print_table(
            ("target", "platforms", "index digest", "seconds"),
            [
                (
                    item.target,
                    ", ".join(map(str, item.platforms)),
                    item.digest or ("(by platform)" if item.parts else "(files)"),
                    "" if item.seconds is None else f"{item.seconds:.1f}",
                )
                for item in built
            ],
        )
    waiting = [item.staged for item in built if item.staged]
    if waiting:
        say(
            "no local store holds what several nodes built: it waits in the registry, where verify, "
            f"run and push take it from: {', '.join(waiting)}"
        )


def _progress(progress: str) -> str:
    from buildx_tasks.errors import UsageError, nearest

    known = ("auto", "plain", "tty", "quiet", "rawjson")
    if progress not in known:
        hint = nearest(progress, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'--progress: unknown kind "{progress}"{hint}')
    return progress


@task(
    iterable=ITERABLE,
    help={**SELECTION, "args": "Arguments for the container, quoted as in a shell"},
)
@plainly
def run(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    args: str = "",
) -> None:
    """Run the selected cells one after another, emulated where they must be."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.verification.foreground import run_cell

    project = load(overlay, set_)
    plan = project.plan(target, platform)
    try:
        arguments = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"--args: {error}; quote it as in a shell") from None
    cells = [(planned, cell) for planned in plan.images for cell in planned.cells]
    if not cells:
        raise UsageError("nothing selected leaves an image to run; select another target with -t")
    for planned, cell in cells:
        if len(cells) > 1:
            say(f"--- {cell}")
        run_cell(c, planned, cell, arguments, project.root)
