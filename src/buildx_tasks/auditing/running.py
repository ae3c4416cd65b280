"""A platform of a published image in; what it does when an engine pulls and runs it, out."""

from __future__ import annotations

import contextlib
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from buildx_tasks.builders import capability
from buildx_tasks.building import location
from buildx_tasks.engine import faults
from buildx_tasks.errors import EngineError, UsageError
from buildx_tasks.images import starting, store
from buildx_tasks.images.image import Image
from buildx_tasks.language.expectations import Run
from buildx_tasks.language.targets import Target
from buildx_tasks.machine.interruption import deferred
from buildx_tasks.planning.cells import Cell, TargetPlan
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import RUNNING, Check, Found, Subject
from buildx_tasks.verification.checks import run
from buildx_tasks.verification.results import CheckResult
from buildx_tasks.verification.unit_checks import UnitChecks
from buildx_tasks.verification.units import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.auditing.audit import Looked
    from buildx_tasks.auditing.places import Held, Part
    from buildx_tasks.workspace import Workspace

_SECONDS = 5.0  # that a program runs before it counts as started
# Exit codes that no program has of its own accord: the shell's, and those of faults of code.
_NOT_FOUND = (126, 127)
_CRASHES = {
    128 + one: one.name for one in (signal.SIGILL, signal.SIGBUS, signal.SIGSEGV, signal.SIGFPE)
}
_STARTS = "starts"


class Runner:
    """Runs what was audited; what it pulled and made is removed when it is closed.

    Raises:
        UsageError: an image is in a folder, where no engine pulls it from.
        EngineError: no engine answers, or emulators are missing.

    """

    def __init__(self, workspace: Workspace, listed: Sequence[Looked]) -> None:
        for one in listed:
            if not one.subject.place.repository:
                raise UsageError(f"--run: {one.subject.name} is in no registry to be pulled from")
        self._workspace = workspace
        self._pulled: list[str] = []
        workspace.engine.require()
        cells = [
            Cell(one.subject.name, part.platform)
            for one in listed
            for part in one.parts
            if part.platform.os == "linux"
        ]
        capability.require_runnable(workspace.engine, cells)
        containers.sweep(workspace.engine)
        self._session = containers.Session(workspace)
        self._checks = UnitChecks(self._session, None)

    def __enter__(self) -> Runner:  # noqa: PYI034 - Python 3.9 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        with deferred():
            with contextlib.suppress(*faults.all_errors()):
                self._session.close()
            for exact in self._pulled:
                with contextlib.suppress(*faults.all_errors()):
                    self._workspace.engine.client.api.remove_image(exact, force=True, noprune=True)

    def results(
        self,
        name: str,
        image: Held,
        part: Part,
        declared: tuple[TargetPlan | None, Sequence[Check]],
    ) -> list[CheckResult]:
        """Return what is found of the checks of a target that run it; without any, whether it starts.

        Raises:
            EngineError: the engine fails, and does not come back.

        """
        target, checks = declared
        mine = tuple(check for check in checks if check.kind in RUNNING)
        platforms = (part.platform,)
        planned = target or TargetPlan(
            name, Target({"tags": [image.place.name]}), platforms, platforms
        )
        place = image.place.repository
        pulled = Image(
            image.place.name, image.root.digest, {part.platform: part.digest}, repository=place
        )
        asked = mine or (Check(_STARTS, "run", None),)
        if part.platform.os != "linux":
            reason = f"{part.platform} is not run here"
            return [CheckResult(c.name, c.kind, "skip", reason=reason) for c in asked]
        try:
            self._pull(pulled, part)
        except EngineError as error:
            return [CheckResult(c.name, c.kind, "FAIL", problems=(str(error),)) for c in asked]
        if mine:
            return list(self._checks.of_unit(Unit(planned, pulled, part.platform, mine, "")).checks)
        subject = Subject(self._session, planned, pulled, part.platform)
        return [self._checks.timed(asked[0], partial(_starts, subject, part))]

    def _pull(self, pulled: Image, part: Part) -> None:
        exact = pulled.runnable(part.platform)
        if store.inspected(self._workspace.engine, exact) is None:
            location.pull(self._workspace.commands, exact, part.platform)
            self._pulled.append(exact)


def _starts(subject: Subject, part: Part) -> Found:
    """Say whether the image's own program starts: it runs on, or ends by itself without a crash."""
    runtime: dict[str, Any] = part.config.runtime if part.config else {}
    if not starting.words_of(runtime):
        return Found((), ("it starts nothing by itself",))
    ended, found = run.carried_out(subject, Run(timeout=_SECONDS), any_exit=True)
    if ended.exit_code is None:
        # Stopped while it ran, or the engine says why it never did.
        is_running = bool(found.problems) and found.problems[0].startswith("still running")
        more = (f"it ran for {_SECONDS:g} s, and was stopped",)
        return Found((), more, ended.stdout, ended.stderr) if is_running else found
    if ended.exit_code in _NOT_FOUND or ended.exit_code in _CRASHES:
        how = _CRASHES.get(ended.exit_code, "a program of it cannot be run")
        problem = f"it ends at once with exit code {ended.exit_code} ({how})"
        return found._replace(problems=(*found.problems, problem))
    return found._replace(facts=(*found.facts, f"it ended with exit code {ended.exit_code}"))
