"""What a task prints while it waits, and where nobody can read it."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pyte
import pytest

from buildx_tasks.errors import RegistryError
from buildx_tasks.machine import output
from buildx_tasks.machine.interruption import Interruption, deferred, heeded
from buildx_tasks.registry import faults
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.repository import Repository


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(output, "_PAUSE", 0.02)


@pytest.mark.usefixtures("impatient")
def test_it_says_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    with output.enduring("push") as lost:
        with output.doing("docker buildx bake"):
            time.sleep(0.5)
        with output.hushed():
            time.sleep(0.5)
        for _ in range(5):
            print("talking")
            time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["still at it, 0 s: docker buildx bake"] * len(lines)
    assert len(lines) in (1, 2)
    assert lost == []


def test_each_retry_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.01)
    tries: list[int] = []

    def look() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise PassingError("HTTP 503")
        return "found"

    repository = Repository(cast("Any", None), "app")
    assert repository.insist("localhost:5000/app:v1", look) == "found"
    said = "localhost:5000/app:v1: HTTP 503; attempt {} of 6 in 0.0 s"
    assert capsys.readouterr().err.splitlines() == [said.format(2), said.format(3)]
    repository.stop.set()
    tries.clear()
    with pytest.raises(RegistryError, match="stopped"):
        repository.insist("x", look)
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with output.enduring("plan") as lost:
            print("a", flush=True)
            print("b", flush=True)
    assert lost == ["standard output cannot be written: No space left on device; make room"]


def test_what_takes_something_back_is_not_disturbed() -> None:
    done = []
    before = signal.getsignal(signal.SIGTERM)

    def remove() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        done.append("removed")

    with pytest.raises(Interruption) as caught, heeded(), deferred():
        remove()
    assert (done, caught.value.code, caught.value.number) == (["removed"], 143, 15)
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_a_thread_nothing_is_heeded() -> None:
    seen = []

    def body() -> None:
        with heeded(), deferred():
            seen.append(1)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [1]


def test_a_signal_that_python_ignores_ends_the_task_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    with pytest.raises(Interruption) as caught, heeded():
        Dying()
    assert caught.value.number == signal.SIGTERM
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class _Screen(io.StringIO):
    """A terminal, of 40 columns."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("impatient")
def test_on_a_terminal_what_is_waited_for_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(output, "terminal_size", lambda: (40, 10))
    monkeypatch.setenv("TERM", "xterm")
    with output.enduring("lock"):
        with output.doing("a registry that takes its time \x1b[2J to answer"):
            time.sleep(0.4)
        print("done", file=sys.stderr)
        with output.hushed():
            time.sleep(0.4)
    drawn = screen.getvalue()
    shown = pyte.Screen(40, 10)
    stream = pyte.Stream(shown)
    first, _, rest = drawn.partition("done")
    stream.feed(first[: first.rindex("\x1bD")])
    line = shown.display[1]
    assert re.fullmatch(r"[|/\\-] a registry that takes its time .* 0 s *", line), line
    assert shown.cursor.y == 0
    stream.feed(first[first.rindex("\x1bD") :] + f"done{rest}".replace("\n", "\r\n"))
    assert [one.rstrip() for one in shown.display if one.strip()] == ["done"]
    assert shown.cursor.y == 1
