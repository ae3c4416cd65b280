from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from buildx_tasks import ledger

if TYPE_CHECKING:
    from pathlib import Path


def test_entries_are_kept_in_order_with_their_time(tmp_path: Path) -> None:
    assert ledger.read(tmp_path) == []
    ledger.record(tmp_path, "built", [{"target": "a"}, {"target": "b"}])
    ledger.record(tmp_path, "pushed", [{"tag": "x"}])
    entries = ledger.read(tmp_path)
    assert [entry["event"] for entry in entries] == ["built", "built", "pushed"]
    assert entries[0]["at"].endswith("+00:00")


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(ledger.record, tmp_path, "built", [{"number": number}])
    assert sorted(entry["number"] for entry in ledger.read(tmp_path)) == list(range(40))


def test_a_damaged_ledger_is_set_aside_not_lost(tmp_path: Path) -> None:
    ledger.record(tmp_path, "built", [])
    path = tmp_path / ".buildx" / "ledger.json"
    for damaged in ("[{", json.dumps({"not": "a list"})):
        path.write_text(damaged)
        assert ledger.read(tmp_path) == []
        assert path.with_suffix(".json.damaged").read_text() == damaged
