"""A process in; it and all that it started, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAUSE = 0.05  # seconds between two looks
_SECONDS = 2.5  # that processes have to end when they are told to
_PROC = Path("/proc")
_PS = ["ps", "-A", "-o", "pid=,ppid=,stat=,lstart="]


class _Process(NamedTuple):
    """A process: its number may be another one's soon, not with the same start."""

    number: int
    started: str


def end(root: int) -> None:
    """End a process and all below it: told to, then killed.

    They share our process group, and the terminal with it: that is how ssh asks for a passphrase.
    """
    known: set[_Process] = set()
    deadline = time.monotonic() + _SECONDS
    number = signal.SIGTERM
    while True:
        parents = dict(_listed())
        alive = {one for one in known if one in parents} | set(_below(root, parents))
        chosen = alive if number == signal.SIGKILL else alive - known
        for one in _from_the_top(chosen, parents):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.number, number)
        known |= alive
        if not alive or number == signal.SIGKILL:
            return
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(_PAUSE)


def kill_below(root: int) -> None:
    """Kill all that a process has started, at once."""
    parents = dict(_listed())
    for one in _from_the_top(_below(root, parents), parents):
        if one.number != root:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.number, signal.SIGKILL)


def _from_the_top(some: Iterable[_Process], parents: dict[_Process, int]) -> list[_Process]:
    """Order processes so that none outlives one that it waits for, and starts the next one."""
    numbers = {one.number: parent for one, parent in parents.items()}

    def depth(one: _Process) -> int:
        above, number = 0, one.number
        while number in numbers and above < len(numbers):  # not for ever, where one was replaced
            above, number = above + 1, numbers[number]
        return above

    return sorted(some, key=depth)


def _below(root: int, parents: dict[_Process, int]) -> Iterator[_Process]:
    """Yield a process and all that descend from it."""
    found = {root}
    while True:
        more = {one.number for one, parent in parents.items() if parent in found} - found
        if not more:
            break
        found |= more
    return (one for one in parents if one.number in found)


def _listed() -> Iterator[tuple[_Process, int]]:
    """Yield every process that has not ended, with its parent's number."""
    if not (_PROC / "self" / "stat").exists():
        lines = subprocess.run(_PS, capture_output=True, text=True, check=False).stdout
        for line in lines.splitlines():
            number, parent, state, started = line.split(None, 3)
            if not state.startswith("Z"):
                yield _Process(int(number), started), int(parent)
        return
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            # A name may hold spaces and brackets; see proc_pid_stat(5).
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] not in "ZX":
                yield _Process(int(path.parent.name), fields[19]), int(fields[1])
