"""Things that a task is at, each by its name: who does them says so, and who shows them looks."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_NAMED = 3  # that a line about waiting names


class Things:
    """What there is to do, what goes on and what is done; any thread may say so.

    ``word`` is what they are then, as in ``3 of 7 asked``. ``running`` has what is done with each, and
    since when (in seconds of :func:`time.monotonic`).
    """

    def __init__(self, word: str, names: Iterable[str] = ()) -> None:
        self.word = word
        self.began = time.monotonic()
        self.running: dict[str, tuple[str, float]] = {}
        self.waiting: dict[str, None] = dict.fromkeys(names)
        self.done: dict[str, None] = {}
        self._lock = threading.Lock()

    @contextmanager
    def at(self, name: str, what: str) -> Iterator[None]:
        """Say what is done with a thing until this is left; it can be more than once.

        What was broken off is neither done nor waits: it stays as it was.
        """
        with self._lock:
            self.waiting.pop(name, None)
            self.done.pop(name, None)
            self.running[name] = what, time.monotonic()
        yield
        with self._lock:
            self.running.pop(name, None)
            self.done[name] = None

    @property
    def count(self) -> str:
        """How far all is, as in ``3 of 7 asked``."""
        total = len(self.waiting) + len(self.running) + len(self.done)
        return f"{len(self.done)} of {total} {self.word}"

    def label(self) -> str:
        """Return what is waited for, in a line."""
        running = list(self.running)
        more = ", …" if len(running) > _MOST_NAMED else ""
        named = ", ".join(running[:_MOST_NAMED])
        return f"{self.count}; {named}{more}" if named else self.count
