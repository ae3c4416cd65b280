"""Targets in; what has to be verified of them, verified and recorded; a report out."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from buildx_tasks.building import location
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.records import ledger, tool_reports
from buildx_tasks.verification import check as checks
from buildx_tasks.verification import units
from buildx_tasks.verification.recording import record_verified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.records.ledger import Verified
    from buildx_tasks.verification.results import CellResult, Report
    from buildx_tasks.verification.units import Unit
    from buildx_tasks.verification.verify import Options, Watcher
    from buildx_tasks.workspace import Workspace

_LEAST_HELD = 6  # characters: what is shorter stands for nothing else


def wanted(workspace: Workspace, targets: Sequence[TargetPlan]) -> tuple[list[Unit], Verified]:
    """Return what there is to verify of the targets, and what the ledger knows of it.

    Raises:
        EngineError: an image is not built, or the engine fails.

    """
    entries = workspace.ledger.read()
    with faults():
        listed = units.units(
            targets,
            workspace.root,
            lambda planned: location.look_up(workspace, planned, planned.platforms),
            ledger.pushed_digests(entries),
        )
    return listed, ledger.Verified(entries)


def verified(
    workspace: Workspace,
    plan: Plan,
    listed: Sequence[Unit],
    known: Mapping[tuple[str, str], str],
    options: Options,
    watcher: Watcher,
) -> tuple[Report, list[str]]:
    """Verify and record; return the report, and what could not be recorded.

    Raises:
        EngineError: an emulator is missing, or the engine fails.

    """
    from buildx_tasks.builders import capability
    from buildx_tasks.verification.verify import verify

    capability.require_runnable(workspace.engine, units.running_cells(listed, known))
    hashes = {unit.id: unit.hash for unit in listed}
    told = _Remembering(watcher)
    try:
        with faults():
            _bring(workspace, units.unsettled(listed, known))
            report = verify(workspace, plan, listed, known, options=options, watcher=told)
    except BaseException:
        # What was found before is not lost.
        with suppress(EngineError):
            record_verified(workspace.ledger, told.results, hashes)
        raise
    return report, _record(workspace.ledger, report, hashes)


def _bring(workspace: Workspace, listed: Sequence[Unit]) -> None:
    """Have the engine pull what is to be looked at, and waits in a registry."""
    images = {unit.target.name: unit.image for unit in listed}
    for name, image in images.items():
        wanted = [u.platform for u in listed if u.target.name == name and u.platform]
        location.bring(workspace, image, wanted)


class _Remembering:
    """A Watcher that keeps the results, and tells another one."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.started = watcher.started
        self.results: list[CellResult] = []

    def ended(self, result: CellResult) -> None:
        self.results.append(result)
        self._watcher.ended(result)


def _record(kept_in: ledger.Ledger, report: Report, hashes: Mapping[str, str]) -> list[str]:
    """Write the ledger; return what could not be written."""
    kept = [{"cell": r.id} for r in report.results for check in r.checks if check.enter]
    try:
        if kept:
            kept_in.record("kept", kept)
        for result in report.results:
            for check in () if result.since else result.checks:
                if check.sarif:
                    verdict = result.digest, hashes[result.id]
                    tool_reports.keep(kept_in.folder, result.id, check.name, verdict, check.sarif)
        record_verified(kept_in, report.results, hashes)
    except EngineError as error:
        return [str(error)]
    except OSError as error:
        return [
            f"{kept_in.folder} cannot be written: {error.strerror}; make room, and verify again"
        ]
    return []


def failures(report: Report) -> list[str]:
    """Return one line about the cells that failed, or nothing."""
    if not report.failed:
        return []
    ids = ", ".join(result.id for result in report.failed)
    return [f"{len(report.failed)} of {len(report.results)} cells failed: {ids}"]


def _typed(command: Sequence[str]) -> str:
    """Return a command for a shell; what the environment holds is named there, and not shown."""
    words = zip(["", *command], command)
    return " ".join(
        _named(word) if before == "--env" else shlex.quote(word) for before, word in words
    )


def _named(setting: str) -> str:
    name, _, value = setting.partition("=")
    if os.environ.get(name) == value:
        return shlex.quote(name)
    shown = _referring(value)
    return shlex.quote(setting) if shown == shlex.quote(value) else f"{shlex.quote(name)}={shown}"


def _referring(text: str) -> str:
    """Return a text quoted for a shell, which fills in the values of its own variables."""
    # The longest first: another may be a part of it.
    for variable, held in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        if len(held) >= _LEAST_HELD and held in text and variable.isidentifier():
            parts = text.split(held)
            return f'"${{{variable}}}"'.join(part and _referring(part) for part in parts)
    return shlex.quote(text)


def commands_of(plan: Plan, root: Path) -> list[str]:
    """Return the commands that a person can type to run the cells one by one."""
    from buildx_tasks.verification.checks import run, service

    running: dict[str, Any] = {"run": run, "service": service}
    lines = []
    kept_in = ledger.Ledger(root)
    for planned in plan.images:
        tag = reference_of(planned)
        expected = planned.spec.verify
        for cell in planned.cells:
            reference = location.named(kept_in, planned, [cell.platform])
            for check in checks.of_cell(expected, cell, tag, root) if expected else ():
                if check.kind in running and not check.skip:
                    command = running[check.kind].command
                    lines.append(_typed(command(reference, cell.platform, root, check.spec)))
                else:
                    what = check.skip or check.kind
                    if check.kind == "command" and not check.skip:
                        what = _typed(check.spec.command)
                    lines.append(f"# {cell} {check.name}: {what}")
    return lines
