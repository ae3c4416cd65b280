"""What verify found, as data: a result for each check, cell and whole image; reports read these."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.images.differences import Difference
    from buildx_tasks.platforms import Platform

CheckStatus = Literal["ok", "FAIL", "skip", "xfail"]
Status = Literal["ok", "FAIL", "skip", "unchecked"]


class CheckResult(NamedTuple):
    """One check of one cell; ``problems`` is empty unless the status is FAIL or xfail.

    ``reason`` says why it was skipped or is known to fail; ``facts`` are what was measured;
    ``stdout`` and ``stderr`` hold all that was kept of the output; ``enter`` is the command that
    enters the container that was kept; ``seconds`` is wall time. ``sarif`` are the runs of a SARIF
    report, as they came.
    """

    name: str
    kind: str
    status: CheckStatus
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    reason: str = ""
    stdout: str = ""
    stderr: str = ""
    enter: str = ""
    sarif: tuple[dict[str, Any], ...] = ()


class CellResult(NamedTuple):
    """One cell, or one whole image where ``platform`` is None (then ``digest`` is its index's).

    ``since`` is when it was verified (UTC, ISO 8601) if neither image nor expectations changed since,
    and it was not run again; ``""`` otherwise. ``seconds`` is wall time. ``was_run`` is False where
    another cell failed first, and this one was not looked at any more.
    """

    target: str
    platform: Platform | None
    digest: str
    checks: tuple[CheckResult, ...] = ()
    seconds: float = 0.0
    since: str = ""
    was_run: bool = True

    @property
    def id(self) -> str:
        """``hello@linux/arm64``; ``hello`` for the whole image."""
        return f"{self.target}@{self.platform}" if self.platform else self.target

    @property
    def status(self) -> Status:
        """FAIL where one check failed, skip where all were, unchecked where there is none."""
        statuses = {check.status for check in self.checks}
        if not statuses:
            return "unchecked"
        if "FAIL" in statuses:
            return "FAIL"
        return "skip" if statuses == {"skip"} else "ok"

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, each with its check's name before it."""
        return tuple(
            problem if check.name == check.kind == "run" else f"{check.name}: {problem}"
            for check in self.checks
            if check.status == "FAIL"
            for problem in check.problems
        )


class Report(NamedTuple):
    """A whole verification: when it began (UTC, ISO 8601), how long it took, with what.

    ``tools`` maps names to versions, as in ``{"Docker Engine": "28.5.2"}``; ``unrecorded`` says what
    of it the ledger could not take. What is written for others has the ``commit``, ``tags`` by target,
    and how each platform differs from what is published (``differences``).
    """

    started: str
    seconds: float
    results: tuple[CellResult, ...]
    tools: dict[str, str]
    unrecorded: tuple[str, ...] = ()
    commit: str = ""
    tags: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    differences: tuple[Difference, ...] = ()

    @property
    def failed(self) -> tuple[CellResult, ...]:
        """The cells and images that are not as expected."""
        return tuple(result for result in self.results if result.status == "FAIL")
