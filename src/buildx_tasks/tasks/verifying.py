"""invoke verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import (
    FULL,
    ITERABLE,
    SELECTION,
    loaded,
    selected,
)

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    alone=["ref", "audit"],
    iterable=[*ITERABLE, "ref", "require"],
    help={
        **SELECTION,
        "jobs": "How many cells at once; default: four for each CPU, 16 at most. Of what is published: "
        "how many layers; default: two for each CPU, 4 at most",
        "force": "Run again what was verified before and did not change since",
        "fail-fast": "Stop at the first cell that fails",
        "last-failed": "Only the cells that failed the last time",
        "keep": "Leave the containers of failed cells, and print how to enter them",
        "full": FULL,
        "ref": "An image in a registry instead, as in localhost:5000/app:v1, or oci:FOLDER (repeatable)",
        "published": "What the declared tags hold in their registries instead",
        "audit": "What [audit] images lists instead",
        "run": "With --ref, --published, --audit: pull it, and run it as well",
        "require": "With --ref: verdict, for every platform has to have one that it passed",
        "junit": "Write the result as JUnit XML to this file too",
        "json": "Write the result as JSON to this file too",
        "html": "Write the result as one HTML page to this file too",
        "sarif": "Write what commands found, of all cells, as one SARIF file; of what is published, "
        "all findings",
    },
)
def verify(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    jobs: int = 0,
    force: bool = False,
    fail_fast: bool = False,
    last_failed: bool = False,
    keep: bool = False,
    junit: str = "",
    json: str = "",
    html: str = "",
    sarif: str = "",
    full: bool = False,
    ref: Texts = None,
    published: bool = False,
    audit: bool = False,
    run: bool = False,
    require: Texts = None,
) -> None:
    """Check every cell against [target.NAME.verify], in parallel, on the digests that were built."""
    from buildx_tasks.reports import writing
    from buildx_tasks.reports.terminal import Terminal
    from buildx_tasks.tasks import auditing
    from buildx_tasks.verification import passed

    _require_number(jobs)
    files = {"junit": junit, "json": json, "html": html, "sarif": sarif}
    chosen = (target, platform, overlay, set_)
    asked = auditing.Asked(chosen, ref, require, published, audit, run, jobs, full, files)
    given = {"force": force, "fail-fast": fail_fast, "last-failed": last_failed, "keep": keep}
    if auditing.is_done(c, asked, given):
        return
    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        if project.commands.is_dry or project.commands.is_echoed:
            # The cells run through the Engine API, in parallel; typed one by one, they do the same.
            print("\n".join(passed.commands_of(selection.plan, project.root)), flush=True)
        if project.commands.is_dry:
            return
        options = {name.replace("-", "_"): value for name, value in given.items()}
        report = selection.verify(jobs=jobs, audience=Terminal(full=full), **options)
        if not report.results and last_failed:
            print("no selected cell failed the last time; nothing to do")
            return
        writing.conclude(report, files, project, selection.plan)


def _require_number(jobs: int) -> None:
    """Refuse what is no number of jobs.

    Raises:
        UsageError: it is below 0.

    """
    from buildx_tasks.errors import UsageError

    if jobs < 0:
        raise UsageError(f"--jobs: {jobs} is no number of cells; write 1 or more")
