"""What makes and starts images: build, run."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Optional

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import (
    FULL,
    ITERABLE,
    SELECTION,
    fixing,
    loaded,
    require_known,
    selected,
    texts,
)

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts

_PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


@command(
    steps=True,
    iterable=ITERABLE,
    help={
        **SELECTION,
        "format": "table, or json: digests and tags by target, as from --metadata-file",
        "progress": "How it is shown: auto (by cell), or by buildx: plain, tty, quiet or rawjson",
        "no-cache": "Build every step anew",
        "pull": "Look for newer base images; what buildx.lock pins stays",
        "no-lock": "Take bases as they are now, whatever buildx.lock pins",
        "always": "Build what is unchanged, too",
        "full": FULL,
    },
)
def build(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    progress: str = "auto",
    no_cache: bool = False,
    pull: bool = False,
    no_lock: bool = False,
    always: bool = False,
    full: bool = False,
    format: str = "table",  # noqa: A002
) -> None:
    """Build what has changed of the selected targets, for all platforms, with one docker buildx bake."""
    from buildx_tasks.reports import builds, jobs
    from buildx_tasks.reports.building import Builds

    with loaded(c, overlay, set_) as project, jobs.told_github(project):
        selection = selected(project, target, platform)
        require_known("--progress", progress, _PROGRESS)
        require_known("--format", format, ("table", "json"))
        for step in build.steps:
            step(c, selection)
        how = {"no_cache": no_cache, "pull": pull, "lock": not no_lock, "always": always}
        audience = Builds(fixing(overlay, set_))
        built = selection.build(progress=progress, audience=audience, **how)
    if format == "json" and built:
        builds.print_json(built, selection.plan)
    else:
        builds.print_built(built, full=full)


@command(
    iterable=[*ITERABLE, "env", "publish", "volume"],
    help={
        **SELECTION,
        "args": "Arguments for the program, quoted as in a shell; those after -- come after them",
        "env": "Variable for the program, as in NAME=value, or NAME with its value here (repeatable)",
        "publish": "Port to reach the program at, as in 8080:80 (repeatable)",
        "volume": "Folder or volume to show it, as in ./data:/data (repeatable)",
        "entrypoint": "Program instead of the image's entrypoint",
        "user": "User that it runs as, as in 1000:1000",
        "workdir": "Folder that it starts in",
        "shell": "A shell in the image instead of its program",
    },
)
def run(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    args: str = "",
    env: Texts = None,
    publish: Texts = None,
    volume: Texts = None,
    entrypoint: Optional[str] = None,  # noqa: UP045 - invoke reads it on Python 3.9, too
    user: str = "",
    workdir: str = "",
    shell: bool = False,
) -> None:
    """Run the selected cells one after another, emulated where they must be."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.reports.terminal import Terminal
    from buildx_tasks.verification.foreground import Options

    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        try:
            arguments = [*shlex.split(args), *_after_dashes(c)]
        except ValueError as error:
            raise UsageError(f"--args: {error}; quote it as in a shell") from None
        lists = [tuple(texts(given)) for given in (env, publish, volume)]
        options = Options(lists[0], lists[1], lists[2], entrypoint, user, workdir, shell)
        selection.run(*arguments, options=options, audience=Terminal())


def _after_dashes(c: Context) -> list[str]:
    """Return what stands after ``--`` on the command line: invoke has joined it, and lost its quotes."""
    typed = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    remainder = getattr(c, "remainder", " ".join(typed))  # invoke has it since 3.0
    return typed if " ".join(typed) == remainder else shlex.split(remainder)
