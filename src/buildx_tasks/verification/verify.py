"""Units in, all checked in parallel; a report out, and nothing left on the engine."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from buildx_tasks import platforms
from buildx_tasks.builders import emulators
from buildx_tasks.engine import faults
from buildx_tasks.machine import emulator
from buildx_tasks.machine.interruption import deferred
from buildx_tasks.machine.version import __version__
from buildx_tasks.records.tool_reports import kept
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import RUNNING
from buildx_tasks.verification.results import CellResult, CheckResult, Report
from buildx_tasks.verification.units import settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.containers import Session
    from buildx_tasks.verification.units import Unit
    from buildx_tasks.workspace import Workspace

_JOBS_PER_CPU = 4  # most of a container's time is the engine's waiting for disk and kernel
_MOST_JOBS = 16


class Options(NamedTuple):
    """How a verification goes about it; ``jobs`` is how many cells at once, 0 for what suits."""

    jobs: int = 0
    keep: bool = False
    fail_fast: bool = False


class Watcher(Protocol):
    """Told of what happens, for people who wait."""

    def started(self, unit_id: str) -> None:
        """Take note that a cell began."""

    def ended(self, result: CellResult) -> None:
        """Take note of a cell's result."""


def verify(
    workspace: Workspace,
    plan: Plan,
    listed: Sequence[Unit],
    known: Mapping[tuple[str, str], str],
    *,
    options: Options,
    watcher: Watcher,
) -> Report:
    """Check all units, in parallel, on exactly the digests that were built.

    ``known`` maps digest and hash of what was verified before to when: it is not run again.
    Everything made on the engine is removed whatever happens, and what a killed run left as well.

    Raises:
        EngineError: the engine fails, and does not come back.

    """
    engine = workspace.engine
    began, at = time.monotonic(), dt.datetime.now(dt.timezone.utc)
    containers.sweep(engine)
    ours = workspace.ledger.folder
    results = {u.id: u.result(_as_known(u, ours), since=s) for u, s in settled(listed, known)}
    for result in results.values():
        watcher.ended(result)
    open_units = [unit for unit in listed if unit.id not in results]
    if open_units:
        # Emulated cells take longest: started first, they do not end last.
        open_units.sort(key=lambda unit: _is_quick(unit, engine.platform))
        session = containers.Session(workspace, keep=options.keep)
        results.update(_Work(session, plan, options, watcher).carry_out(open_units))
    foreign = {unit.platform for unit in listed if unit.platform}
    versions = {
        "Docker Engine": engine.info["ServerVersion"],
        **emulator.summed_up(emulators.named(engine, foreign)),
        "buildx-tasks": __version__,
    }
    return Report(
        at.isoformat(timespec="seconds"),
        time.monotonic() - began,
        tuple(results[unit.id] for unit in listed),
        versions,
    )


def _as_known(unit: Unit, ours: Path) -> list[CheckResult]:
    verdict = unit.digest, unit.hash
    return [
        CheckResult(
            check.name,
            check.kind,
            "skip" if check.skip else "xfail" if check.xfail else "ok",
            reason=check.skip or check.xfail,
            sarif=kept(ours, unit.id, check.name, verdict) if check.kind == "command" else (),
        )
        for check in unit.checks
    ]


def _is_quick(unit: Unit, native: Platform) -> bool:
    emulated = unit.platform and not platforms.runs_natively(unit.platform, native)
    kinds = {check.kind for check in unit.checks if not check.skip}
    return not ((emulated and kinds & RUNNING) or "reproducible" in kinds)


class _Work:
    """The units that are carried out now, several at once."""

    def __init__(self, session: Session, plan: Plan, options: Options, watcher: Watcher) -> None:
        self._session = session
        from buildx_tasks.verification.unit_checks import UnitChecks  # with every kind of check

        self._checks = UnitChecks(session, plan)
        self._options = options
        self._watcher = watcher

    def carry_out(self, listed: Sequence[Unit]) -> dict[str, CellResult]:
        jobs = self._options.jobs or min(_JOBS_PER_CPU * (os.cpu_count() or 1), _MOST_JOBS)
        # One bake keeps all CPUs busy; those that wait for it must not keep cells waiting.
        pools = ThreadPoolExecutor(max_workers=jobs), ThreadPoolExecutor(max_workers=1)
        try:
            return self._gather(*pools, listed)
        finally:
            with deferred():
                for pool in pools:
                    pool.shutdown(wait=False, cancel_futures=True)
                # An engine that is gone has nothing running; what it kept, the next run sweeps.
                with contextlib.suppress(*faults.all_errors()):
                    self._session.close()
                for pool in pools:
                    pool.shutdown()

    def _gather(
        self, pool: ThreadPoolExecutor, building: ThreadPoolExecutor, listed: Sequence[Unit]
    ) -> dict[str, CellResult]:
        rebuilt = {
            name: building.submit(
                self._checks.rebuilt, [u for u in listed if u.target.name == name]
            )
            for name in dict.fromkeys(u.target.name for u in listed if "reproducible" in u.kinds)
        }
        looked_at = {unit.id: pool.submit(self._look_at, unit) for unit in listed}
        results: dict[str, CellResult] = {}
        waiting: set[Future[Any]] = {*looked_at.values(), *rebuilt.values()}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()  # raises what ended it
            for unit in listed:
                again = rebuilt.get(unit.target.name) if "reproducible" in unit.kinds else None
                if (
                    unit.id in results
                    or not looked_at[unit.id].done()
                    or (again and not again.done())
                ):
                    continue
                found = again.result().get(unit.platform, ()) if again and unit.platform else ()
                result = _with_rebuilt(unit, looked_at[unit.id].result(), found)
                results[unit.id] = result
                self._watcher.ended(result)
                if result.status == "FAIL" and self._options.fail_fast:
                    rest = [u for u in listed if u.id not in results]
                    return {
                        **results,
                        **{u.id: u.result(_not_run(u), was_run=False) for u in rest},
                    }
        return results

    def _look_at(self, unit: Unit) -> CellResult:
        self._watcher.started(unit.id)
        return self._checks.of_unit(unit)


def _with_rebuilt(unit: Unit, result: CellResult, found: Sequence[CheckResult]) -> CellResult:
    if not found:
        return result
    by_name = {check.name: check for check in (*result.checks, *found)}
    ordered = tuple(by_name[check.name] for check in unit.checks)
    return result._replace(checks=ordered, seconds=max(result.seconds, found[0].seconds))


def _not_run(unit: Unit) -> list[CheckResult]:
    return [
        CheckResult(c.name, c.kind, "skip", reason="not run: another failed first (--fail-fast)")
        for c in unit.checks
    ]
