"""What makes and starts images: build, run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.options import ITERABLE, SELECTION, loaded, plainly, require_known, selected

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts

_PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


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
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    progress: str = "auto",
    no_cache: bool = False,
    pull: bool = False,
) -> None:
    """Build the selected targets for all their platforms with one docker buildx bake."""
    from buildx_tasks.reports import builds

    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        require_known("--progress", progress, _PROGRESS)
        built = selection.build(progress=progress, no_cache=no_cache, pull=pull)
    builds.print_built(built)


@task(
    iterable=ITERABLE,
    help={**SELECTION, "args": "Arguments for the container, quoted as in a shell"},
)
@plainly
def run(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    args: str = "",
) -> None:
    """Run the selected cells one after another, emulated where they must be."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.reports.terminal import Terminal

    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        try:
            arguments = shlex.split(args)
        except ValueError as error:
            raise UsageError(f"--args: {error}; quote it as in a shell") from None
        selection.run(*arguments, audience=Terminal())
