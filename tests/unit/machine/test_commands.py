from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.errors import EngineError
from buildx_tasks.machine import processes
from buildx_tasks.machine.commands import Commands
from buildx_tasks.machine.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable


def stopping_at(there: Path) -> Callable[[], None]:
    def going_on() -> None:
        if there.exists():
            raise EngineError("stopped")

    return going_on


def is_running(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def ends(process: int) -> bool:
    """Whether it is gone in a moment: one that was killed closes its pipes before it is."""
    until = time.monotonic() + 5
    while is_running(process) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_running(process)


def test_a_command_that_goes_on_gives_its_result(tmp_path: Path) -> None:
    script = "pwd; echo no >&2; exit 3"
    result = Commands(tmp_path).run_while(["sh", "-c", script], stopping_at(tmp_path / "x"))
    assert (result.exited, result.stdout, result.stderr) == (3, f"{tmp_path}\n", "no\n")


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_a_command_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    monkeypatch.setattr("buildx_tasks.machine.processes._SECONDS", 0.5)
    # As docker starts buildx: beside it, with the same pipes.
    script = f"{deaf}sleep 60 & echo $! > child; echo $$ > parent; touch there; wait; sleep 60"
    began = time.monotonic()
    with pytest.raises(EngineError, match="stopped"):
        Commands(tmp_path).run_while(["sh", "-c", script], stopping_at(tmp_path / "there"))
    assert time.monotonic() - began < 30
    for name in ("child", "parent"):
        assert ends(int((tmp_path / name).read_text()))


def test_who_waits_for_a_lock_can_be_stopped(tmp_path: Path) -> None:
    stop, lock = tmp_path / "stop", tmp_path / "lock"
    threading.Timer(0.3, stop.touch).start()
    with (
        locked(lock),
        pytest.raises(EngineError, match="stopped"),
        locked(lock, going_on=stopping_at(stop)),
    ):
        pytest.fail("two hold it")
    stop.unlink()
    with locked(lock, going_on=stopping_at(stop)):
        assert lock.exists()


def test_who_is_ended_by_a_signal_has_the_exit_code_of_shells(tmp_path: Path) -> None:
    assert Commands(tmp_path).hand_over(["sh", "-c", "kill -KILL $$"]) == 137


def test_processes_are_killed_from_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    # A shell whose command is killed first starts the next one, which nobody knows of.
    listed = [(processes._Process(number, "x"), number - 1) for number in (4, 7, 3, 6, 5)]
    killed: dict[int, list[int]] = {}
    monkeypatch.setattr(processes, "_SECONDS", 0)
    monkeypatch.setattr(processes, "_listed", lambda: iter(listed))
    monkeypatch.setattr(os, "kill", lambda number, how: killed.setdefault(how, []).append(number))
    processes.end(3)
    assert killed == {signal.SIGTERM: [3, 4, 5, 6, 7], signal.SIGKILL: [3, 4, 5, 6, 7]}


def test_a_terminal_of_another_session_is_not_asked_for_the_keyboard(tmp_path: Path) -> None:
    text = """
import os, pty, sys
from pathlib import Path
from buildx_tasks.machine.commands import Commands
os.setsid()
_, theirs = pty.openpty()
os.set_inheritable(theirs, True)
for number in (0, 1):
    os.dup2(theirs, number)
assert sys.stdin.isatty() and sys.stdout.isatty()
result = Commands(Path.cwd()).run(["sh", "-c", "exit 3"], tty=True)
os._exit(result.exited)
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, stderr=subprocess.PIPE, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (3, b"")
