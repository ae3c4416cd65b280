from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.machine import programs
from buildx_tasks.machine.programs import Bounds

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED = Bounds(30, 1_000_000)


def nothing() -> None:
    """Go on."""


def test_code_and_outputs(tmp_path: Path) -> None:
    ended = programs.run(["sh", "-c", "pwd; echo no >&2; cat; exit 3"], tmp_path, ALLOWED, nothing)
    assert ended == (3, f"{tmp_path.resolve()}\n".encode(), b"no\n", "")


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    argv = ["sh", "-c", "sleep 60 & echo $! > pid; wait"]
    ended = programs.run(argv, tmp_path, Bounds(0.5, 1000), nothing)
    assert (ended.code, ended.why) == (None, "it did not end within 0.5 s")
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", (tmp_path / "pid").read_text()],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert listed.stdout.strip() in (b"", b"Z")  # whoever inherits it may not have looked yet


def test_output_is_bounded(tmp_path: Path) -> None:
    ended = programs.run(["sh", "-c", "yes"], tmp_path, Bounds(30, 5000), nothing)
    assert (ended.code, ended.why) == (None, "it printed more than 5000 bytes")
    assert len(ended.stdout) == 5000


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what is allocated")
def test_memory_is_bounded(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "x = bytearray(400_000_000)"]
    assert programs.run(argv, tmp_path, ALLOWED, nothing).code == 0
    bounded = programs.run(argv, tmp_path, Bounds(30, 100_000, 200_000_000), nothing)
    assert bounded.code == 1
    assert b"MemoryError" in bounded.stderr


@pytest.mark.parametrize("memory", [0, 100_000_000])
def test_one_that_is_not_there(tmp_path: Path, memory: int) -> None:
    with pytest.raises(FileNotFoundError):
        programs.run(["no-such-tool"], tmp_path, Bounds(1, 1, memory), nothing)


def test_it_ends_where_the_waiting_for_it_ends(tmp_path: Path) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        programs.run(["sleep", "60"], tmp_path, ALLOWED, stopped)
