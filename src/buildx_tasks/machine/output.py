"""What a task prints: it never ends the task, whatever becomes of it, and never stops for long."""

from __future__ import annotations

import codecs
import errno
import os
import re
import secrets
import select
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Callable, Union

from buildx_tasks.text import escaped, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_SILENT_SECONDS = 2.5  # after which it is said what is waited for
_DUMB = ("", "dumb", "unknown")  # terminals on which nothing can be taken back
# In the line below the cursor, which stays: a program of others may have asked for a password there.
_BELOW = "\x1bD\x1bM\x1b7\r\n\x1b[K{}\x1b8"
_SPINNING = "|/-\\"
_PAUSE = 0.25  # seconds between two looks
_SETTLING_SECONDS = 0.2
_BEGUN = re.compile(r"\x1b(?:\[[0-9;:?]{0,20})?\Z")
_ESCAPED = "buildx-tasks-escaped"  # for what the encoding of standard output does not have

Label = Union[str, Callable[[], str]]


class _Activity:
    """What goes on: when something was last printed, and what is waited for (the last one counts)."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.lock = threading.RLock()
        self.is_drawn = False  # on the terminal: a line that goes when another one comes
        self.hushed = 0
        self.make_way: Callable[[], object] | None = None  # of a display that is on the terminal
        self.is_midline = False  # something was printed on it, and no newline yet
        self.labels: list[tuple[Label, float]] = []


_activity = _Activity()


@contextmanager
def enduring(name: str) -> Iterator[list[str]]:
    """Let the task ``name`` print on: to nowhere, once nobody reads it or the disk is full.

    Yield a list that holds, in the end, why something was lost that a person wanted; who closed the
    pipe (``| head``) wants no more.
    """
    if isinstance(sys.stdout, _Stream):  # a task that another one calls
        yield []
        return
    codecs.register_error(_ESCAPED, _escape)
    plain = sys.stdout, sys.stderr
    kept = [_Stream(stream) for stream in plain]
    faults: list[str] = []
    sys.stdout, sys.stderr = kept
    stop = threading.Event()
    told = threading.Thread(target=_break_silence, args=(stop,), daemon=True)
    _activity.last = time.monotonic()
    try:
        with doing(name):
            told.start()
            yield faults
    finally:
        stop.set()
        if told.ident:
            told.join()
        _take_back()
        sys.stdout, sys.stderr = plain
        for one in kept:
            one.settle()
        if kept[0].fault:
            faults.append(f"standard output cannot be written: {kept[0].fault}; make room")


@contextmanager
def doing(label: Label) -> Iterator[None]:
    """Name what is waited for, should nothing be printed for a while."""
    entry = label, time.monotonic()
    _activity.labels.append(entry)
    try:
        yield
    finally:
        _activity.labels.remove(entry)


@contextmanager
def hushed() -> Iterator[None]:
    """Say nothing of waiting: what runs is somebody else's program, or is to be quiet."""
    _activity.hushed += 1
    _take_back()
    try:
        yield
    finally:
        _activity.hushed -= 1
        _activity.last = time.monotonic()


@contextmanager
def displayed(make_way: Callable[[], object]) -> Iterator[None]:
    """Have a display make way for whatever is printed on its terminal, by whom and where ever."""
    if _activity.is_midline:  # a program's last words
        _activity.is_midline = False
        draw("\n")
    before, _activity.make_way = _activity.make_way, make_way
    try:
        yield
    finally:
        _activity.make_way = before


def draw(text: str) -> None:
    """Write on the terminal, as it is, what is no output."""
    if isinstance(sys.stderr, _Stream):
        sys.stderr.draw(text)
    else:
        sys.stderr.write(text)
        sys.stderr.flush()


def is_midline() -> bool:
    """Say whether what was printed last on the terminal is no whole line yet."""
    return _activity.is_midline


@contextmanager
def without_commands() -> Iterator[None]:
    """Have GitHub's runner take nothing that other programs print for a command to itself.

    Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        time.sleep(_SETTLING_SECONDS)  # the other stream may be read later
        print(f"\n::{token}::", file=sys.stderr, flush=True)


def is_unread() -> bool:
    """Whether nobody reads standard output any more: what writes to it fails, and is not at fault."""
    return isinstance(sys.stdout, _Stream) and sys.stdout.is_unread()


def is_person_there() -> bool:
    """Whether standard output is a terminal: logs get all that there is."""
    return bool(sys.stdout and sys.stdout.isatty())


def _break_silence(stop: threading.Event) -> None:
    while not stop.wait(_PAUSE):
        now = time.monotonic()
        if now - _activity.last < _SILENT_SECONDS or _activity.hushed:
            continue
        with suppress(IndexError):  # it has just ended
            label, since = _activity.labels[-1]
            text = label if isinstance(label, str) else label()
            if can_draw():
                _draw(text, now - since)
            else:
                sys.stderr.write(f"still at it, {now - since:.0f} s: {text}\n")
                sys.stderr.flush()


def can_draw() -> bool:
    """Say whether a person sees standard error on a terminal that can take back what it shows."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in _DUMB


def terminal_size() -> tuple[int, int]:
    """Return columns and lines of the terminal that standard error is on."""
    with suppress(OSError, ValueError, AttributeError):
        found = os.get_terminal_size(sys.stderr.fileno())
        if found.columns and found.lines:
            return found.columns, found.lines
    return 80, 24


def _draw(text: str, seconds: float) -> None:
    """Show in a line that goes when another one comes what is waited for."""
    mark = _SPINNING[int(seconds / _PAUSE) % len(_SPINNING)]
    end = f"  {seconds:.0f} s"
    line = f"{mark} {printable(text)}"[: max(1, terminal_size()[0] - 1 - len(end))] + end
    with _activity.lock, suppress(OSError, ValueError):
        if _activity.hushed or not isinstance(sys.stderr, _Stream):
            return
        sys.stderr.draw(_BELOW.format(line))
        _activity.is_drawn = True


def _take_back() -> None:
    """Take away the line about waiting, where there is one."""
    with _activity.lock, suppress(OSError, ValueError):
        if _activity.is_drawn and isinstance(sys.stderr, _Stream):
            _activity.is_drawn = False
            sys.stderr.draw(_BELOW.format(""))


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Write a character as JSON does: that stays JSON, and people can read it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    data = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = (data[at : at + 2].hex() for at in range(0, len(data), 2))
    return "".join(f"\\u{unit}" for unit in units), error.end


class _Stream:
    """A text stream that loses what cannot be written, and remembers why."""

    def __init__(self, stream: Any) -> None:
        # Python has none where the descriptor was closed when it started.
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        self._is_lost = False
        self._is_terminal = bool(getattr(self._stream, "isatty", bool)())
        self._begun = ""  # of a sequence
        self.fault = ""
        if getattr(stream, "errors", "") in ("strict", "surrogateescape"):
            with suppress(AttributeError):  # one of a test, or of another program
                self._stream.reconfigure(errors=_ESCAPED)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def draw(self, text: str) -> None:
        """Write as it is what is no output, and is taken back."""
        self._try(lambda: self._stream.write(text))
        self._try(self._stream.flush)

    def write(self, text: str) -> int:
        _activity.last = time.monotonic()
        if _activity.is_drawn and self._is_terminal:
            _take_back()
        if self._is_terminal and text:
            if _activity.make_way:
                _activity.make_way()
            _activity.is_midline = not text.endswith("\n")
        # What others' programs say must not act on the terminal; a sequence may come in two parts.
        whole = self._begun + text
        self._begun = found[0] if (found := _BEGUN.search(whole)) else ""
        shown = escaped(whole[: len(whole) - len(self._begun)], is_drawing=self._is_terminal)
        self._try(lambda: self._stream.write(shown))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def settle(self) -> None:
        """Write what is left, and see that the interpreter's last words have somewhere to go."""
        begun, self._begun = self._begun, ""
        self._try(lambda: self._stream.write(escaped(begun)))
        self.flush()
        if self.is_unread():
            self._lose(OSError(errno.EPIPE, ""))

    def is_unread(self) -> bool:
        with suppress(OSError, ValueError, AttributeError):
            watched = select.poll()
            watched.register(self._stream.fileno(), 0)
            return any(event & select.POLLERR for _, event in watched.poll(0))
        return False

    def _try(self, act: Callable[[], object]) -> None:
        if self._is_lost:
            return
        try:
            act()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._is_lost = True
        if error.errno != errno.EPIPE:
            self.fault = str(error.strerror or error)
        # What the stream still holds goes there too, or Python would fail once more at its end.
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
