"""Carry out what ``[target.NAME.verify]`` expects, in parallel; nothing is left on the engine."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import signal
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, TypeVar

import msgspec

from buildx_tasks import __version__, checks, containers, platforms
from buildx_tasks.checks import Check, Found, Subject
from buildx_tasks.emulators import engine_platform
from buildx_tasks.errors import EngineError, RunError
from buildx_tasks.plan import Cell
from buildx_tasks.results import CellResult, CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.images import Image
    from buildx_tasks.plan import Plan, TargetPlan
    from buildx_tasks.platforms import Platform

RUNNING = frozenset({"run", "service"})  # the kinds that need a native or emulated platform
_WALKING = frozenset({"binaries", "files"})  # the kinds that share one walk through the files

_EDITION = 1  # of the checks: raised where they find what they did not, so that all run again
_ATTEMPTS = 3  # of a check whose engine failed
_ENGINE_SECONDS = 60.0  # how long an engine may take to come back

Item = TypeVar("Item")


class Unit(NamedTuple):
    """One cell, or one whole image (``platform`` None), with what is expected of it."""

    target: TargetPlan
    image: Image
    platform: Platform | None
    checks: tuple[Check, ...]
    hash: str

    @property
    def digest(self) -> str:
        """The digest of the platform's manifest (of the index); ``""`` where the image lacks it."""
        if self.platform is None:
            return self.image.digest
        return self.image.manifests.get(self.platform, "")

    @property
    def id(self) -> str:
        """As a result's id."""
        return f"{self.target.name}@{self.platform}" if self.platform else self.target.name

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of check that are carried out."""
        return frozenset(check.kind for check in self.checks if not check.skip)

    def result(self, found: Sequence[CheckResult], **more: Any) -> CellResult:
        """Return what was found as this unit's result."""
        return CellResult(self.target.name, self.platform, self.digest, tuple(found), **more)


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


def units(
    targets: Sequence[TargetPlan], root: Path, locate: Callable[[TargetPlan], Image]
) -> list[Unit]:
    """Return all cells of the targets, each target's whole image after them where it has checks.

    Raises:
        EngineError: an image is not built.

    """
    found = []
    for target in targets:
        image = locate(target)
        expected = target.spec.verify
        tag = target.spec.tags[0]
        for cell in target.cells:
            listed = checks.of_cell(expected, cell, tag) if expected else ()
            found.append(Unit(target, image, cell.platform, listed, hash_of(listed, root)))
        whole = checks.of_whole(expected) if expected else ()
        if whole:
            found.append(Unit(target, image, None, whole, hash_of(whole, root)))
    return found


def running_cells(listed: Sequence[Unit], known: Mapping[tuple[str, str], str]) -> list[Cell]:
    """Return the cells whose programs will run: those need an emulator where they are foreign."""
    settled = {unit.id for unit, _ in _settled(listed, known)}
    return [
        Cell(unit.target.name, unit.platform)
        for unit in listed
        if unit.platform and unit.id not in settled and unit.kinds & RUNNING
    ]


def hash_of(listed: Sequence[Check], root: Path) -> str:
    """Return the hash of expectations (hex): equal hashes find the same in the same image.

    The content of mounted files counts, and the edition of the checks.
    """
    plain = [(c.name, c.kind, msgspec.to_builtins(c.spec), c.skip, c.xfail) for c in listed]
    mounted = {
        mount.source: _content(root / mount.source)
        for check in listed
        for mount in getattr(check.spec, "mounts", ())
    }
    text = msgspec.json.encode([_EDITION, plain, sorted(mounted.items())], order="deterministic")
    return hashlib.sha256(text).hexdigest()


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.relative_to(path)} {file.stat().st_mode}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


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
    results = {u.id: u.result(_as_known(u), since=since) for u, since in _settled(listed, known)}
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


def _settled(
    listed: Sequence[Unit], known: Mapping[tuple[str, str], str]
) -> Iterator[tuple[Unit, str]]:
    """Give what needs no work, with when it was verified (``""``: there is nothing to check)."""
    for unit in listed:
        if not unit.checks and unit.digest:
            yield unit, ""
        elif unit.digest and (unit.digest, unit.hash) in known:
            yield unit, known[unit.digest, unit.hash]


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
        jobs = self._options.jobs or 2 * (os.cpu_count() or 1)
        try:
            with ThreadPoolExecutor(max_workers=jobs) as pool:
                try:
                    return self._gather(pool, listed)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._session.close()
                    raise
        finally:
            self._session.close()
            signal.signal(signal.SIGTERM, previous)

    def _gather(self, pool: ThreadPoolExecutor, listed: Sequence[Unit]) -> dict[str, CellResult]:
        rebuilt = {
            name: pool.submit(self._rebuild, [u for u in listed if u.target.name == name])
            for name in dict.fromkeys(u.target.name for u in listed if "reproducible" in u.kinds)
        }
        pending: dict[Future[CellResult], Unit] = {
            pool.submit(self._unit, unit): unit for unit in listed
        }
        waiting: dict[str, CellResult] = {}
        results: dict[str, CellResult] = {}
        futures: set[Future[Any]] = {*pending, *rebuilt.values()}
        while futures:
            done, futures = wait(futures, return_when=FIRST_COMPLETED)
            for future in done:
                if future in pending:
                    waiting[pending[future].id] = future.result()
                else:
                    future.result()
            for unit in listed:
                result = waiting.get(unit.id)
                again = rebuilt.get(unit.target.name) if "reproducible" in unit.kinds else None
                if result is None or unit.id in results or (again and not again.done()):
                    continue
                whole = _with_rebuilt(unit, result, again.result()) if again else result
                results[unit.id] = whole
                self._watcher.ended(whole)
                if whole.status == "FAIL" and self._options.fail_fast:
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._session.close()
                    not_run = [u for u in listed if u.id not in results]
                    return {
                        **results,
                        **{u.id: u.result(_not_run(u), was_run=False) for u in not_run},
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
        from buildx_tasks.checks import index

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
        from buildx_tasks import filesystem
        from buildx_tasks.checks import binaries, files

        if not walking:
            return {}
        rooms: dict[str, Any] = {"binaries": binaries, "files": files}

        def walk() -> list[Found]:
            visitors: list[Any] = [
                rooms[check.kind].visitor(subject, check.spec) for check in walking
            ]
            return filesystem.walk(subject, visitors)

        began = time.monotonic()
        found = self._insist(walk)
        seconds = time.monotonic() - began
        return {c.name: _result(c, item, seconds) for c, item in zip(walking, found)}

    def _rebuild(self, of_target: Sequence[Unit]) -> dict[Platform, CheckResult]:
        from buildx_tasks.checks import reproducible

        wanted = {
            unit.platform: check
            for unit in of_target
            for check in unit.checks
            if unit.platform and unit.digest and check.kind == "reproducible" and not check.skip
        }
        target, image = of_target[0].target, of_target[0].image
        began = time.monotonic()
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
        seconds = time.monotonic() - began
        return {p: _result(check, found[p], seconds) for p, check in wanted.items()}

    def _timed(self, check: Check, look: Callable[[], Found]) -> CheckResult:
        began = time.monotonic()
        found = self._insist(look)
        return _result(check, found, time.monotonic() - began)

    def _insist(self, look: Callable[[], Item]) -> Item:
        """Try again where the engine failed, once it answers: never for what an image does."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return look()
            except (APIError, RequestException) as error:
                if self._session.closed or attempt == _ATTEMPTS:
                    reason = getattr(error, "explanation", None) or error
                    raise EngineError(
                        f"the engine failed {attempt} times: {reason}; see its log"
                    ) from None
                self._wait_for_engine(error)
        raise AssertionError

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


def _check(subject: Subject, check: Check) -> Found:
    from buildx_tasks.checks import config, run, service, size

    rooms: dict[str, Any] = {"run": run, "service": service, "config": config, "size": size}
    found: Found = rooms[check.kind].check(subject, check.spec)
    return found


def _with_rebuilt(
    unit: Unit, result: CellResult, found: Mapping[Platform, CheckResult]
) -> CellResult:
    if unit.platform is None or unit.platform not in found:
        return result
    by_name = {check.name: check for check in (*result.checks, found[unit.platform])}
    ordered = tuple(by_name[check.name] for check in unit.checks)
    return result._replace(
        checks=ordered, seconds=max(result.seconds, found[unit.platform].seconds)
    )


def _result(check: Check, found: Found, seconds: float) -> CheckResult:
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
