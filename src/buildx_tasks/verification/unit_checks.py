"""One unit in; each of its checks carried out, again where the engine failed; what they found, out."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Callable, TypeVar

from buildx_tasks.engine import faults
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.verification import walk
from buildx_tasks.verification.check import Check, Found, Subject
from buildx_tasks.verification.checks import (
    OF_A_CELL,
    OF_A_CONTAINER,
    OF_ITS_FILES,
    index,
    reproducible,
)
from buildx_tasks.verification.containers import STOPPED
from buildx_tasks.verification.results import CellResult, CheckResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.containers import Session
    from buildx_tasks.verification.units import Unit

_ATTEMPTS = 3  # of a check whose engine failed
_ENGINE_SECONDS = 60.0  # how long an engine may take to come back

Item = TypeVar("Item")


class FaultError(Exception):
    """What kept a check from being carried out: no verdict on the image, and nothing to get used to."""


class UnitChecks:
    """Carries out the checks of single units, in whichever thread.

    ``plan`` is what is built again, None where nothing is.

    Every method raises EngineError where the engine does not come back, or the session was closed.
    """

    def __init__(self, session: Session, plan: Plan | None) -> None:
        self._session = session
        self._plan = plan

    def of_unit(self, unit: Unit) -> CellResult:
        """Carry out all but ``reproducible``."""
        began = time.monotonic()
        if not unit.digest:
            problem = (
                f"{unit.image.reference} has no {unit.platform}; "
                f"run invoke build -t {unit.target.name}"
            )
            return unit.result([CheckResult("image", "index", "FAIL", problems=(problem,))])
        found = (
            [self._of_whole(unit, check) for check in unit.checks]
            if unit.platform is None
            else self._of_cell(unit, unit.platform)
        )
        return unit.result(found, seconds=time.monotonic() - began)

    def rebuilt(self, of_target: Sequence[Unit]) -> dict[Platform, list[CheckResult]]:
        """Carry out ``reproducible`` for all units of one target, with one build."""
        wanted = {
            unit.platform: [
                check for check in unit.checks if check.kind == "reproducible" and not check.skip
            ]
            for unit in of_target
            if unit.platform and unit.digest and "reproducible" in unit.kinds
        }
        target, image, plan = of_target[0].target, of_target[0].image, self._plan
        if plan is None:
            raise AssertionError
        began = time.monotonic()
        found: Mapping[Platform, Found | FaultError]
        try:
            found = self._insist(
                lambda: reproducible.check_target(self._session, plan, target, image, tuple(wanted))
            )
        except FaultError as fault:
            found = dict.fromkeys(wanted, fault)
        seconds = time.monotonic() - began
        return {p: [result_of(check, found[p], seconds) for check in wanted[p]] for p in wanted}

    def _of_whole(self, unit: Unit, check: Check) -> CheckResult:
        if check.skip:
            return CheckResult(check.name, check.kind, "skip", reason=check.skip)
        reached = self._session.engine, self._session.workspace.registries
        look = partial(index.check_whole, *reached, unit.target, unit.image, check.spec)
        return self.timed(check, look)

    def _of_cell(self, unit: Unit, platform: Platform) -> list[CheckResult]:
        subject = Subject(self._session, unit.target, unit.image, platform)
        results = {
            check.name: CheckResult(check.name, check.kind, "skip", reason=check.skip)
            for check in unit.checks
            if check.skip
        }
        wanted = [check for check in unit.checks if not check.skip]
        results.update(
            self._walk(subject, [check for check in wanted if check.kind in OF_ITS_FILES])
        )
        results.update(self._together(subject, wanted))
        for check in wanted:
            if check.kind in OF_A_CELL:
                seen = subject._replace(keep=not check.xfail)
                look = partial(OF_A_CELL[check.kind].check, seen, check.spec)
                results[check.name] = self.timed(check, look)
        return [results[check.name] for check in unit.checks if check.name in results]

    def _walk(self, subject: Subject, walking: Sequence[Check]) -> dict[str, CheckResult]:
        """Look at all files once, for all checks that are about files."""
        if not walking:
            return {}

        def look() -> list[Found]:
            visitors = [OF_ITS_FILES[one.kind].visitor(subject, one.spec) for one in walking]
            return walk.walk(subject, visitors)

        return self._several(walking, look)

    def _together(self, subject: Subject, wanted: Sequence[Check]) -> dict[str, CheckResult]:
        """Look into one container for all checks that share it."""
        results: dict[str, CheckResult] = {}
        shared = [check for check in wanted if check.kind in OF_A_CONTAINER]
        for group in dict.fromkeys(check.spec.group for check in shared):
            mine = [check for check in shared if check.spec.group == group]
            look = partial(OF_A_CONTAINER[mine[0].kind].look, subject, [one.spec for one in mine])
            results.update(self._several(mine, look))
        return results

    def _several(
        self, several: Sequence[Check], look: Callable[[], list[Found]]
    ) -> dict[str, CheckResult]:
        """Carry out what looks for several checks at once."""
        began = time.monotonic()
        try:
            found: Sequence[Found | FaultError] = self._insist(look)
        except FaultError as fault:
            found = [fault] * len(several)
        seconds = time.monotonic() - began
        return {c.name: result_of(c, item, seconds) for c, item in zip(several, found)}

    def timed(self, check: Check, look: Callable[[], Found]) -> CheckResult:
        """Carry out one check, again where the engine failed."""
        began = time.monotonic()
        try:
            found: Found | FaultError = self._insist(look)
        except FaultError as fault:
            found = fault
        return result_of(check, found, time.monotonic() - began)

    def _insist(self, look: Callable[[], Item]) -> Item:
        """Try again where the engine failed, once it answers: never for what an image does.

        Raises:
            FaultError: it failed each time, or the machine did.
            EngineError: the engine does not come back, or verify was stopped.

        """
        for _ in range(_ATTEMPTS):
            try:
                return look()
            except faults.all_errors() as error:
                reason = faults.words_of(error)
                if self._session.closed:
                    raise EngineError(STOPPED) from None
                self._wait_for_engine(error)
            except (EngineError, RegistryError) as error:
                if self._session.closed:
                    raise
                raise FaultError(str(error)) from None
            except OSError as error:
                place = error.filename or "the machine"
                raise FaultError(
                    f"{place}: {error.strerror or error}; make room or allow it, and verify again"
                ) from None
        raise FaultError(f"the engine failed {_ATTEMPTS} times: {reason}; see its log")

    def _wait_for_engine(self, fault: Exception) -> None:
        end = time.monotonic() + _ENGINE_SECONDS
        while time.monotonic() < end and not self._session.closed:
            time.sleep(0.5)
            try:
                self._session.engine.client.ping()
            except faults.all_errors():
                continue
            return
        raise EngineError(
            f"the engine went away and did not come back in {_ENGINE_SECONDS:g} s: {fault}; start it"
        )


def result_of(check: Check, found: Found | FaultError, seconds: float) -> CheckResult:
    """Return what was found as the check's result: a known failure must fail, and passing it fails."""
    if isinstance(found, FaultError):
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
        found.sarif,
    )
    if not check.xfail:
        return result
    if found.problems:
        return result._replace(status="xfail")
    problem = f'passes, but xfail says "{check.xfail}"; remove this platform from xfail'
    return result._replace(status="FAIL", problems=(problem,))
