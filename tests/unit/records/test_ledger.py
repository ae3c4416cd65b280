from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from buildx_tasks.building.location import reference
from buildx_tasks.errors import EngineError
from buildx_tasks.planning.cells import TargetPlan
from buildx_tasks.records.ledger import Ledger, Verified, pushed_digests


def _path(root: Path) -> Path:
    return root / ".buildx" / "ledger.json"


def test_entries_are_kept_in_order_with_their_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.read() == []
    ledger.record("built", [{"target": "a", "tags": []}, {"target": "b", "tags": []}])
    ledger.record("pushed", [{"tag": "x", "target": "a", "digest": "sha256:1"}])
    entries = ledger.read()
    assert [entry["event"] for entry in entries] == ["built", "built", "pushed"]
    assert entries[0]["at"].endswith("+00:00")


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(ledger.record, "noted", [{"number": number}])
    assert sorted(entry["number"] for entry in ledger.read()) == list(range(40))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[{",
        b"\xff\xfe",
        b'[{"event": "built", "at": "\xff"}]',
        b"[" * 100_000,
        b'{"not": "a list"}',
        b'["text"]',
        b'[{"event": "built"}]',
        b'[{"event": 1, "at": "2026-11-25T00:00:00+00:00"}]',
    ],
)
def test_a_damaged_ledger_is_set_aside_not_lost(
    tmp_path: Path, damaged: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path)
    ledger.prepare()
    path = _path(tmp_path)
    for number, name in enumerate(("damaged", "damaged-2", "damaged-3")):
        path.write_bytes(damaged + b" " * number)
        assert ledger.read() == []
        aside = path.with_name(f"ledger.json.{name}")
        assert aside.read_bytes() == damaged + b" " * number
        assert capsys.readouterr().err == (
            f"warning: {path} is damaged; set aside as {aside}; "
            "what was verified will be verified again\n"
        )
    # A writer sets it aside too, and does not write over it.
    path.write_bytes(damaged)
    ledger.record("noted", [{}])
    assert path.with_name("ledger.json.damaged-4").read_bytes() == damaged
    assert len(ledger.read()) == 1


def test_a_ledger_cut_off_anywhere_is_set_aside(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in ("a", "b", "c"):
        ledger.record("built", [{"target": name, "digest": "ä", "tags": []}] * 3)
    path = _path(tmp_path)
    text = path.read_bytes()
    cuts = range(0, len(text), 50)
    for cut in cuts:
        path.write_bytes(text[:cut])
        assert ledger.read() == []
        assert not path.exists()
    asides = sorted(path.parent.glob("ledger.json.damaged*"), key=lambda one: one.stat().st_size)
    assert [aside.read_bytes() for aside in asides] == [text[:cut] for cut in cuts]
    path.write_bytes(text)
    assert len(ledger.read()) == 9


def test_readers_of_a_damaged_ledger_do_not_take_a_new_one_away(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.prepare()
    path = _path(tmp_path)
    for _ in range(10):
        path.write_text("[{")
        with ThreadPoolExecutor(6) as pool:
            reads = [pool.submit(ledger.read) for _ in range(6)]
            written = pool.submit(ledger.record, "noted", [{}])
        assert all(len(read.result()) <= 1 for read in reads)
        written.result()
        assert len(ledger.read()) == 1
    assert len(list(path.parent.glob("ledger.json.damaged*"))) == 10


def test_entries_that_miss_what_they_are_read_for_are_kept_and_not_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    wrong: dict[str, Any] = {"target": None, "cell": 1, "digest": [], "tags": 2, "reference": {}}
    bare: list[dict[str, Any]] = [
        {"event": event, "at": "then", **more}
        for event in ("created", "removed", "built", "pulled", "verified", "failed", "pushed")
        for more in ({}, wrong)
    ]
    ledger.prepare()
    _path(tmp_path).write_text(json.dumps(bare))
    assert ledger.read() == []
    target: Any = TargetPlan("hello", Any, (), ())  # type: ignore[arg-type]
    assert reference(ledger, target) == ""
    for entries in (bare, ledger.whole()):
        assert pushed_digests(entries) == {}
        assert (Verified(entries).passed, Verified(entries).failed) == ({}, set())
    ledger.record("failed", [{"cell": "hello@linux/arm64", "digest": "sha256:1"}])
    assert len(ledger.whole()) == len(bare) + 1
    assert Verified(ledger.whole()).failed == {"hello@linux/arm64"}


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.prepare()
    left = _path(tmp_path).with_name(".ledger.json.abc")
    left.write_text("[")
    ledger.record("noted", [{}])
    assert not left.exists()


def test_the_folder_is_synced_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path)
    synced: list[str] = []

    def fsync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append(f"{name.name} {_path(tmp_path).exists()}")
        if name.is_dir():
            raise OSError(errno.EINVAL, "refused")  # which is no failure

    ledger.prepare()
    monkeypatch.setattr(os, "fsync", fsync)
    ledger.record("noted", [{}])
    assert [line.rpartition(" ")[2] for line in synced] == ["False", "True"]
    assert synced[1] == ".buildx True"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    _path(tmp_path).mkdir(parents=True)
    with pytest.raises(EngineError, match=r"ledger.json cannot be read: Is a directory; allow it"):
        ledger.read()
