"""The machine's key, and what is made of secret values with it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from buildx_tasks.inputs.keys import keyed, machine_key

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_and_is_the_owner_s_alone(tmp_path: Path) -> None:
    key = machine_key(tmp_path / "state")
    assert len(key) == 32
    assert machine_key(tmp_path / "state") == key
    assert machine_key(tmp_path / "other") != key
    file = tmp_path / "state" / "fingerprint.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208 - nothing else


def test_all_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: machine_key(tmp_path / "state"), range(64)))) == 1


def test_a_short_one_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "state" / "fingerprint.key"
    file.parent.mkdir(mode=0o700)
    file.write_bytes(b"short")
    assert len(machine_key(file.parent)) == 32


def test_without_a_place_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert machine_key(tmp_path / "file" / "state") == b""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert machine_key(tmp_path / "link") == b""


def test_a_value_cannot_be_told_from_it() -> None:
    assert keyed(b"k" * 32, b"hunter2") != keyed(b"l" * 32, b"hunter2")
    assert keyed(b"k" * 32, b"hunter2") != keyed(b"k" * 32, b"hunter3")
    assert len(keyed(b"k", b"")) == 64
