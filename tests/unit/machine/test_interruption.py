"""A signal ends what is heeded, wherever Python happens to be when it comes."""

from __future__ import annotations

import subprocess
import sys
import time

BEGIN = """\
import os, signal, sys, time
from buildx_tasks.machine import interruption
from buildx_tasks.machine.interruption import Interruption

class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

def ended():
    try:
        with interruption.heeded("it"):
            yield
    except Interruption as error:
        sys.exit(error.code)
"""


def run(inside: str) -> tuple[int, str, float]:
    began = time.monotonic()
    text = BEGIN + "with __import__('contextlib').contextmanager(ended)():\n" + inside
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def test_one_that_comes_where_exceptions_are_ignored_is_raised_after_it() -> None:
    code, said, seconds = run("    Callback()\n    time.sleep(20)\n")
    assert (code, said) == (143, "")
    assert seconds < 10


def test_one_that_comes_again_before_it_was_ignored() -> None:
    # What a busy machine does: the time is over before the next line runs.
    code, said, _ = run("    interruption._AGAIN = 1e-6\n    Callback()\n    time.sleep(20)\n")
    assert (code, said) == (143, "")


def test_one_that_is_ignored_as_the_last_thing() -> None:
    code, said, _ = run("    Callback()\n")
    assert (code, said) == (143, "")


def test_what_takes_something_back_is_not_disturbed_by_it() -> None:
    inside = """\
    with interruption.deferred():
        Callback()
        time.sleep(0.1)
        print("taken back", flush=True)
    print("no more")
"""
    assert run(inside)[:2] == (143, "taken back\n")


def test_one_that_is_ignored_just_before_what_takes_something_back() -> None:
    inside = """\
    Callback()
    with interruption.deferred():
        time.sleep(0.1)
        print("taken back", flush=True)
    print("no more")
"""
    code, said, _ = run(inside)
    assert code == 143
    assert said in ("taken back\n", "")  # it was raised again before that, or after it


def test_other_ignored_exceptions_are_told_as_ever() -> None:
    inside = """\
    class Bad:
        def __del__(self):
            raise ValueError("seen")
    Bad()
"""
    code, said, _ = run(inside)
    assert code == 0
    assert "ValueError: seen" in said
