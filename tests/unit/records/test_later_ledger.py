"""A ledger of a later version is called that; what it says is neither trusted nor set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.errors import EngineError
from buildx_tasks.records.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text", ['{"version": 2, "entries": []}', '{"format": "3", "events": {}}', '{"schema": 9}']
)
def test_a_ledger_of_a_newer_version_is_called_that(tmp_path: Path, text: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.prepare()
    path = tmp_path / ".buildx" / "ledger.json"
    path.write_text(text)
    for action in (ledger.read, ledger.whole, lambda: ledger.record("built", [{}])):
        with pytest.raises(EngineError, match="is of a newer version of buildx-tasks"):
            action()
    assert path.read_text() == text
    assert not list(path.parent.glob("*.damaged*"))
