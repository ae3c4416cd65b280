"""Carry out what ``[target.NAME.verify]`` expects, in parallel; nothing is left on the engine."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, TypeVar

from buildx_tasks import __version__, platforms
from buildx_tasks.builders.emulators import engine_platform
from buildx_tasks.errors import EngineError, RunError
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import Check, Found, Subject
from buildx_tasks.verification.results import CellResult, CheckResult, Report
from buildx_tasks.verification.units import RUNNING, settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.units import Unit

_WALKING = frozenset({"binaries", "files"})  # the kinds that share one walk through the files

_JOBS_PER_CPU = 4  # most of a container's time is the engine's waiting for disk and kernel
_MOST_JOBS = 16
_ATTEMPTS = 3  # of a check whose engine failed
_ENGINE_SECONDS = 60.0  # how long an engine may take to come back

Item = TypeVar("Item")


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
    c: Context,
    client: docker.DockerClient,
    plan: Plan,
    root: Path,
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
    began, at = time.monotonic(), dt.datetime.now(dt.timezone.utc)
    containers.sweep(client)
    results = {u.id: u.result(_as_known(u), since=since) for u, since in settled(listed, known)}
    for result in results.values():
        watcher.ended(result)
    open_units = [unit for unit in listed if unit.id not in results]
    if open_units:
        native = engine_platform(client)
        # Emulated cells take longest: started first, they do not end last.
        open_units.sort(key=lambda unit: _is_quick(unit, native))
        session = containers.Session(client, root, keep=options.keep)
        work = _Work(c, session, plan, root, options, watcher)
        results.update(work.carry_out(open_units))
    versions = {"Docker Engine": client.version()["Version"], "buildx-tasks": __version__}
    return Report(
        at.isoformat(timespec="seconds"),
        time.monotonic() - began,
        tuple(results[unit.id] for unit in listed),
        versions,
    )


def _as_known(unit: Unit) -> list[CheckResult]:
    return [
        CheckResult(
            check.name,
            check.kind,
            "skip" if check.skip else "xfail" if check.xfail else "ok",
            reason=check.skip or check.xfail,
        )
        for check in unit.checks
    ]


def _is_quick(unit: Unit, native: Platform) -> bool:
    emulated = unit.platform and not platforms.runs_natively(unit.platform, native)
    kinds = {check.kind for check in unit.checks if not check.skip}
    return not ((emulated and kinds & RUNNING) or "reproducible" in kinds)


class _Work:
    """The units that are carried out now."""

    def __init__(
        self,
        c: Context,
        session: containers.Session,
        plan: Plan,
        root: Path,
        options: Options,
        watcher: Watcher,
    ) -> None:
        self._context = c
        self._session = session
        self._plan = plan
        self._root = root
        self._options = options
        self._watcher = watcher

    def carry_out(self, listed: Sequence[Unit]) -> dict[str, CellResult]:
        # SIGTERM ends a task as Ctrl-C does, so that its containers are removed all the same.
        previous = signal.signal(signal.SIGTERM, _terminate)
        jobs = self._options.jobs or min(_JOBS_PER_CPU * (os.cpu_count() or 1), _MOST_JOBS)
        # One bake keeps all CPUs busy; those that wait for it must not keep cells waiting.
        pools = ThreadPoolExecutor(max_workers=jobs), ThreadPoolExecutor(max_workers=1)
        try:
            return self._gather(*pools, listed)
        finally:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)
            self._close()
            for pool in pools:
                pool.shutdown()
            signal.signal(signal.SIGTERM, previous)

    def _close(self) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        # An engine that is gone has nothing running; what it kept, the next run sweeps.
        with contextlib.suppress(APIError, RequestException):
            self._session.close()

    def _gather(
        self, pool: ThreadPoolExecutor, building: ThreadPoolExecutor, listed: Sequence[Unit]
    ) -> dict[str, CellResult]:
        rebuilt = {
            name: building.submit(self._rebuild, [u for u in listed if u.target.name == name])
            for name in dict.fromkeys(u.target.name for u in listed if "reproducible" in u.kinds)
        }
        looked_at = {unit.id: pool.submit(self._unit, unit) for unit in listed}
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

    def _unit(self, unit: Unit) -> CellResult:
        self._watcher.started(unit.id)
        began = time.monotonic()
        if not unit.digest:
            problem = (
                f"{unit.image.reference} has no {unit.platform}; "
                f"run invoke build -t {unit.target.name}"
            )
            return unit.result([CheckResult("image", "index", "FAIL", problems=(problem,))])
        found = (
            list(map(self._whole_check(unit), unit.checks))
            if unit.platform is None
            else self._cell_checks(unit, unit.platform)
        )
        return unit.result(found, seconds=time.monotonic() - began)

    def _whole_check(self, unit: Unit) -> Callable[[Check], CheckResult]:
        from buildx_tasks.verification.checks import index

        def carry_out(check: Check) -> CheckResult:
            return self._timed(
                check,
                lambda: index.check_whole(
                    self._session, self._root, unit.target, unit.image, check.spec
                ),
            )

        return carry_out

    def _cell_checks(self, unit: Unit, platform: Platform) -> list[CheckResult]:
        subject = Subject(self._session, self._root, unit.target, unit.image, platform)
        results = {
            check.name: CheckResult(check.name, check.kind, "skip", reason=check.skip)
            for check in unit.checks
            if check.skip
        }
        wanted = [check for check in unit.checks if not check.skip]
        results.update(self._walk(subject, [check for check in wanted if check.kind in _WALKING]))
        for check in wanted:
            if check.kind not in _WALKING and check.kind != "reproducible":
                results[check.name] = self._timed(check, partial(_check, subject, check))
        return [results[check.name] for check in unit.checks if check.name in results]

    def _walk(self, subject: Subject, walking: Sequence[Check]) -> dict[str, CheckResult]:
        """Look at all files once, for all checks that are about files."""
        from buildx_tasks.verification import walk as filesystem
        from buildx_tasks.verification.checks import binaries, files

        if not walking:
            return {}
        rooms: dict[str, Any] = {"binaries": binaries, "files": files}

        def walk() -> list[Found]:
            visitors: list[Any] = [
                rooms[check.kind].visitor(subject, check.spec) for check in walking
            ]
            return filesystem.walk(subject, visitors)

        began = time.monotonic()
        try:
            found: Sequence[Found | _FaultError] = self._insist(walk)
        except _FaultError as fault:
            found = [fault] * len(walking)
        seconds = time.monotonic() - began
        return {c.name: _result(c, item, seconds) for c, item in zip(walking, found)}

    def _rebuild(self, of_target: Sequence[Unit]) -> dict[Platform, list[CheckResult]]:
        from buildx_tasks.verification.checks import reproducible

        wanted = {
            unit.platform: [
                check for check in unit.checks if check.kind == "reproducible" and not check.skip
            ]
            for unit in of_target
            if unit.platform and unit.digest and "reproducible" in unit.kinds
        }
        target, image = of_target[0].target, of_target[0].image
        began = time.monotonic()
        found: Mapping[Platform, Found | _FaultError]
        try:
            found = self._insist(
                lambda: reproducible.check_target(
                    self._context,
                    self._root,
                    self._plan,
                    target,
                    image,
                    tuple(wanted),
                    self._session,
                )
            )
        except _FaultError as fault:
            found = dict.fromkeys(wanted, fault)
        seconds = time.monotonic() - began
        return {p: [_result(check, found[p], seconds) for check in wanted[p]] for p in wanted}

    def _timed(self, check: Check, look: Callable[[], Found]) -> CheckResult:
        began = time.monotonic()
        try:
            found: Found | _FaultError = self._insist(look)
        except _FaultError as fault:
            found = fault
        return _result(check, found, time.monotonic() - began)

    def _insist(self, look: Callable[[], Item]) -> Item:
        """Try again where the engine failed, once it answers: never for what an image does.

        Raises:
            _FaultError: it failed each time, or the machine did.
            EngineError: the engine does not come back, or verify was stopped.

        """
        from docker.errors import APIError
        from requests.exceptions import RequestException

        for _ in range(_ATTEMPTS):
            try:
                return look()
            except (APIError, RequestException) as error:
                reason = getattr(error, "explanation", None) or error
                if self._session.closed:
                    raise EngineError("verify was stopped; run it again") from None
                self._wait_for_engine(error)
            except EngineError as error:
                if self._session.closed:
                    raise
                raise _FaultError(str(error)) from None
            except OSError as error:
                place = error.filename or "the machine"
                raise _FaultError(
                    f"{place}: {error.strerror or error}; make room or allow it, and verify again"
                ) from None
        raise _FaultError(f"the engine failed {_ATTEMPTS} times: {reason}; see its log")

    def _wait_for_engine(self, fault: Exception) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        end = time.monotonic() + _ENGINE_SECONDS
        while time.monotonic() < end and not self._session.closed:
            time.sleep(0.5)
            try:
                self._session.client.ping()
            except (APIError, RequestException):
                continue
            return
        raise EngineError(
            f"the engine went away and did not come back in {_ENGINE_SECONDS:g} s: {fault}; start it"
        )


class _FaultError(Exception):
    """What kept a check from being carried out: no verdict on the image, and nothing to get used to."""


def _check(subject: Subject, check: Check) -> Found:
    from buildx_tasks.verification.checks import config, run, service, size

    rooms: dict[str, Any] = {"run": run, "service": service, "config": config, "size": size}
    found: Found = rooms[check.kind].check(subject._replace(keep=not check.xfail), check.spec)
    return found


def _with_rebuilt(unit: Unit, result: CellResult, found: Sequence[CheckResult]) -> CellResult:
    if not found:
        return result
    by_name = {check.name: check for check in (*result.checks, *found)}
    ordered = tuple(by_name[check.name] for check in unit.checks)
    return result._replace(checks=ordered, seconds=max(result.seconds, found[0].seconds))


def _result(check: Check, found: Found | _FaultError, seconds: float) -> CheckResult:
    if isinstance(found, _FaultError):
        return CheckResult(check.name, check.kind, "FAIL", seconds, (str(found),))
    result = CheckResult(
        check.name,
        check.kind,
        "FAIL" if found.problems else "ok",
        seconds,
        found.problems,
        found.facts,
        check.xfail,
        found.stdout,
        found.stderr,
        found.enter,
    )
    if not check.xfail:
        return result
    if found.problems:
        return result._replace(status="xfail")
    problem = f'passes, but xfail says "{check.xfail}"; remove this platform from xfail'
    return result._replace(status="FAIL", problems=(problem,))


def _not_run(unit: Unit) -> list[CheckResult]:
    return [
        CheckResult(c.name, c.kind, "skip", reason="not run: another failed first (--fail-fast)")
        for c in unit.checks
    ]


def _terminate(_number: int, _frame: object) -> None:
    raise RunError("terminated; the containers are removed", 128 + signal.SIGTERM)
