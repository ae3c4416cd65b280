"""What was verified goes into the ledger, with the hash of what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.records.ledger import Verified

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.records.ledger import Ledger
    from buildx_tasks.verification.results import CellResult


def record_verified(
    ledger: Ledger, results: Iterable[CellResult], hashes: Mapping[str, str]
) -> None:
    """Record what was looked at now, with the hash of what was expected of each cell.

    A cell whose checks were all skipped is not recorded: nothing of it was looked at. What failed the
    last time and is known to be well is recorded again.

    Raises:
        EngineError: it cannot be written.

    """
    failed = Verified(ledger.read()).failed
    events = {"ok": "verified", "FAIL": "failed"}
    entries: dict[str, list[dict[str, Any]]] = {"verified": [], "failed": []}
    for result in results:
        event = events.get(result.status)
        if event and result.was_run and (not result.since or result.id in failed):
            entry = {"cell": result.id, "digest": result.digest, "checks": hashes[result.id]}
            entries[event].append(entry)
    for event, listed in entries.items():
        if listed:
            ledger.record(event, listed)
