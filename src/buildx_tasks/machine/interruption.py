"""Signals in; one exception that ends a task, all that it started with it, and the right exit code, out.

``SIGINT``, ``SIGTERM`` and ``SIGHUP`` mean the same to a task of ours, however they come: from a
terminal to all processes at once, or from ``kill`` to this one alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from buildx_tasks.machine import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LONGEST = 2.5  # seconds from a signal to the end, whatever hangs
_LONGEST_REMOVAL = 20.0  # seconds for what must not stay, as containers on a busy engine
_AGAIN = 0.01  # seconds until it is raised again where Python ignored it, and
_ONCE_MORE = 0.05  # where it did not yet
_SHOWN = "\x1b[?25h"  # the cursor


class Interruption(SystemExit):
    """The task is to end. Nothing but what has to be taken back may be done any more."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class _State:
    is_heeded = False
    name = ""
    number = 0  # the signal that came, 0 for none
    is_raised = False
    deferring = 0
    is_drawn = False


_state = _State()


@contextmanager
def heeded(name: str = "it") -> Iterator[None]:
    """Raise :class:`Interruption` at the first signal; those after it do not disturb the ending.

    ``name`` is what is interrupted. Only the main thread gets signals; a task that another task
    calls is heeded with it.
    """
    if _state.is_heeded or threading.current_thread() is not threading.main_thread():
        yield
        return
    # What nohup started stays when its terminal goes.
    watched = [n for n in _WATCHED if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    threads = set(threading.enumerate())
    vars(_state).clear()
    _state.is_heeded, _state.name = True, name
    previous = {number: signal.getsignal(number) for number in watched}
    ignored = sys.unraisablehook
    try:
        sys.unraisablehook = partial(_ignored, ignored)
        for number in watched:
            signal.signal(number, _received)
        yield
        if _state.number:  # it was raised where Python ignores it, at the very end
            raise Interruption(_state.number)  # noqa: TRY301 - as the signal itself would
    except Exception:
        # What it breaks off in the middle (a module that is being loaded) fails in its own way.
        if _state.number:
            raise Interruption(_state.number) from None
        raise
    finally:
        left = [t for t in threading.enumerate() if t not in threads and not t.daemon]
        if _state.number and left:
            signal.signal(signal.SIGALRM, _give_up)
        elif _state.number:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = ignored
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
        _state.is_heeded = False


@contextmanager
def deferred() -> Iterator[None]:
    """Carry out what is inside (what takes something back) to its end; a signal counts after it."""
    if threading.current_thread() is not threading.main_thread() or not _state.is_heeded:
        yield
        return
    _state.deferring += 1
    if _state.number:
        signal.setitimer(signal.ITIMER_REAL, _LONGEST_REMOVAL)
    try:
        yield
    finally:
        _state.deferring -= 1
        if _state.number and not _state.deferring:
            signal.signal(signal.SIGALRM, _give_up)
            signal.setitimer(signal.ITIMER_REAL, _LONGEST)
            if not _state.is_raised:
                _raise()


@contextmanager
def drawn() -> Iterator[None]:
    """Know that the cursor is in a line of a display, which stays if all ends here."""
    before, _state.is_drawn = _state.is_drawn, True
    try:
        yield
    finally:
        _state.is_drawn = before


def message(name: str, number: int) -> str:
    """Return what a person is told."""
    return f"{name} was interrupted ({signal.Signals(number).name})"


def _received(number: int, _frame: object) -> None:
    if _state.number:
        return
    _state.number = number
    # A thread that hangs at a socket would hold up the end: a timer, for threads can't be started here.
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_REMOVAL if _state.deferring else _LONGEST)
    if not _state.deferring:
        _raise()


def _raise() -> NoReturn:
    _state.is_raised = True
    raise Interruption(_state.number)


def _ignored(others: Callable[[Any], object], what: Any) -> None:
    """Raise it again soon where it came in a callback, whose exceptions Python ignores."""
    if not isinstance(what.exc_value, Interruption):
        others(what)
        return
    _state.is_raised = False
    signal.signal(signal.SIGALRM, _again)
    if not _state.deferring:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _again(_number: int, frame: FrameType | None) -> None:
    while frame:
        if frame.f_code is _ignored.__code__:  # not left yet: it would be ignored once more
            signal.setitimer(signal.ITIMER_REAL, _ONCE_MORE)
            return
        frame = frame.f_back
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_REMOVAL if _state.deferring else _LONGEST)
    if not _state.deferring:
        _raise()


def _give_up(_number: int, _frame: object) -> None:
    processes.kill_below(os.getpid())
    said = f"{message(_state.name, _state.number)}; something did not end in time\n"
    with suppress(OSError):
        # What draws may have hidden the cursor.
        end = "\n" if _state.is_drawn else ""
        os.write(2, (f"{_SHOWN}{end}{said}" if os.isatty(2) else said).encode())
    os._exit(128 + _state.number)
