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
    texts,
)

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    alone=["ref"],
    iterable=[*ITERABLE, "ref", "require"],
    help={
        **SELECTION,
        "jobs": "How many cells at once; default: four for each CPU, 16 at most",
        "force": "Run again what was verified before and did not change since",
        "fail-fast": "Stop at the first cell that fails",
        "last-failed": "Only the cells that failed the last time",
        "keep": "Leave the containers of failed cells, and print how to enter them",
        "full": FULL,
        "ref": "An image in a registry instead, as in localhost:5000/app:v1 (repeatable): what "
        "--require demands of it",
        "require": "With --ref: verdict, for every platform has to have one that it passed",
        "junit": "Write the result as JUnit XML to this file too",
        "json": "Write the result as JSON to this file too",
        "html": "Write the result as one HTML page to this file too",
        "sarif": "Write what commands found, of all cells, as one SARIF file",
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
    require: Texts = None,
) -> None:
    """Check every cell against [target.NAME.verify], in parallel, on the digests that were built."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.reports import writing
    from buildx_tasks.reports.terminal import Terminal
    from buildx_tasks.verification import passed

    if jobs < 0:
        raise UsageError(f"--jobs: {jobs} is no number of cells; write 1 or more")
    if ref or require:
        _demand(c, (target, platform, overlay, set_), ref, require)
        return
    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        if project.commands.is_dry or project.commands.is_echoed:
            # The cells run through the Engine API, in parallel; typed one by one, they do the same.
            print("\n".join(passed.commands_of(selection.plan, project.root)), flush=True)
        if project.commands.is_dry:
            return
        options = {"force": force, "keep": keep, "fail_fast": fail_fast, "last_failed": last_failed}
        report = selection.verify(jobs=jobs, audience=Terminal(full=full), **options)
        if not report.results and last_failed:
            print("no selected cell failed the last time; nothing to do")
            return
        files = {"junit": junit, "json": json, "html": html, "sarif": sarif}
        writing.conclude(report, files, project, selection.plan)


def _demand(c: Context, selection: tuple[Texts, ...], ref: Texts, require: Texts) -> None:
    """Print what published images have of what is required of them.

    Raises:
        UsageError: something to ask about, or to ask for, is missing.
        VerifyError: one lacks something.

    """
    from buildx_tasks.engine.faults import faults
    from buildx_tasks.errors import UsageError
    from buildx_tasks.publishing import demands
    from buildx_tasks.text import printable

    target, platform, overlay, set_ = selection
    if target or platform:
        raise UsageError("--ref names an image by itself: leave out --target and --platform")
    asked = demands.asked(texts(ref, "--ref"), texts(require, "--require"))
    answers = []
    with loaded(c, overlay, set_) as project, faults():
        for answer in demands.verdicts(project, asked):
            print("\n".join(map(printable, demands.lines(answer))), flush=True)
            answers.append(answer)
    demands.conclude(answers)
