"""invoke verify; push does the same before it publishes."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from invoke import task

from buildx_tasks.tasks.project import ITERABLE, SELECTION, Project, load, plainly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker
    from invoke import Context

    from buildx_tasks.planning.selection import Plan, TargetPlan
    from buildx_tasks.records.ledger import Verified
    from buildx_tasks.verification.results import CellResult, Report
    from buildx_tasks.verification.units import Unit
    from buildx_tasks.verification.verify import Options


@task(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "jobs": "How many cells at once; default: four for each CPU, 16 at most",
        "force": "Run again what was verified before and did not change since",
        "fail-fast": "Stop at the first cell that fails",
        "last-failed": "Only the cells that failed the last time",
        "keep": "Leave the containers of failed cells, and print how to enter them",
        "junit": "Write the result as JUnit XML to this file too",
        "json": "Write the result as JSON to this file too",
        "html": "Write the result as one HTML page to this file too",
    },
)
@plainly
def verify(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    jobs: int = 0,
    force: bool = False,
    fail_fast: bool = False,
    last_failed: bool = False,
    keep: bool = False,
    junit: str = "",
    json: str = "",
    html: str = "",
) -> None:
    """Check every cell against [target.NAME.verify], in parallel, on the digests that were built."""
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import UsageError, VerifyError
    from buildx_tasks.machine import commands
    from buildx_tasks.reports import writing
    from buildx_tasks.verification import verify as verifying

    if jobs < 0:
        raise UsageError(f"--jobs: {jobs} is no number of cells; write 1 or more")
    project = load(overlay, set_)
    plan = project.plan(target, platform)
    typed = _typed(plan, project)
    if commands.is_dry(c) or c.config.run.echo:
        # The cells run through the Engine API, in parallel; typed one by one, they do the same.
        print("\n".join(typed), flush=True)
    if commands.is_dry(c):
        return
    client = engine.connect()
    listed, history = wanted(c, client, project, plan.images)
    if last_failed:
        listed = [unit for unit in listed if unit.id in history.failed]
        if not listed:
            print("no selected cell failed the last time; nothing to do")
            return
    known = {} if force else history.passed
    options = verifying.Options(jobs=jobs, keep=keep, fail_fast=fail_fast)
    report, faults = verified(c, client, project, plan, listed, known, options)
    faults[:0] = writing.write(report, {"junit": junit, "json": json, "html": html})
    faults += writing.tell_github(report, project.file)
    faults = [*failures(report), *faults]
    if faults:
        raise VerifyError("\nerror: ".join(faults))


def wanted(
    c: Context, client: docker.DockerClient, project: Project, targets: Sequence[TargetPlan]
) -> tuple[list[Unit], Verified]:
    """Return what there is to verify of the targets, and what the ledger knows of it."""
    from buildx_tasks.building import staging
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.records import ledger
    from buildx_tasks.verification import units

    entries = ledger.read(project.root)
    with engine.faults():
        listed = units.units(
            targets,
            project.root,
            lambda planned: staging.locate(c, client, project.root, planned, planned.platforms),
            ledger.last_pushed(entries),
        )
    return listed, ledger.Verified(entries)


def verified(
    c: Context,
    client: docker.DockerClient,
    project: Project,
    plan: Plan,
    listed: Sequence[Unit],
    known: Mapping[tuple[str, str], str],
    options: Options,
) -> tuple[Report, list[str]]:
    """Verify, print and record; return also what could not be recorded."""
    from buildx_tasks.builders import capability as reach
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import EngineError
    from buildx_tasks.records import ledger
    from buildx_tasks.reports import cells as watching
    from buildx_tasks.verification import units
    from buildx_tasks.verification import verify as verifying

    reach.require_runnable(c, units.running_cells(listed, known))
    hashes = {unit.id: unit.hash for unit in listed}
    ended: list[CellResult] = []
    try:
        with engine.faults(), watching.watcher(len(listed), ended) as watcher:
            report = verifying.verify(
                c, client, plan, project.root, listed, known, options=options, watcher=watcher
            )
    except BaseException:
        # What was found before is not lost.
        with suppress(EngineError):
            ledger.record_verified(project.root, ended, hashes)
        raise
    watching.print_report(report)
    return report, _record(project, report, hashes)


def failures(report: Report) -> list[str]:
    """Return one line about the cells that failed, or nothing."""
    if not report.failed:
        return []
    ids = ", ".join(result.id for result in report.failed)
    return [f"{len(report.failed)} of {len(report.results)} cells failed: {ids}"]


def _record(project: Project, report: Report, hashes: dict[str, str]) -> list[str]:
    """Write the ledger; return what could not be written."""
    from buildx_tasks.errors import EngineError
    from buildx_tasks.records import ledger

    kept = [{"cell": r.id} for r in report.results for check in r.checks if check.enter]
    try:
        if kept:
            ledger.record(project.root, "kept", kept)
        ledger.record_verified(project.root, report.results, hashes)
    except EngineError as error:
        return [str(error)]
    return []


def _typed(plan: Plan, project: Project) -> list[str]:
    """Return the commands that a person can type to run the cells one by one."""
    from buildx_tasks.images import image as images
    from buildx_tasks.verification import check as checks
    from buildx_tasks.verification.checks import run, service

    rooms: dict[str, Any] = {"run": run, "service": service}
    lines = []
    for planned in plan.images:
        reference = images.reference_of(planned)
        expected = planned.spec.verify
        for cell in planned.cells:
            for check in checks.of_cell(expected, cell, reference) if expected else ():
                if check.kind in rooms and not check.skip:
                    command = rooms[check.kind].command
                    argv = command(reference, cell.platform, project.root, check.spec)
                    lines.append(shlex.join(argv))
                else:
                    lines.append(f"# {cell} {check.name}: {check.skip or check.kind}")
    return lines
