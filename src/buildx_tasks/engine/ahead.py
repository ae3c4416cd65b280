"""What will be asked soon in; its answer, asked for while other work went on, out."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.engine.faults import all_errors
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.engine.api import Answer

_SECONDS = 5.0  # after which an answer is no longer that of now


class _Question(NamedTuple):
    """A question that is being asked; ``answers`` has its answer once ``asking`` has ended."""

    asking: threading.Thread
    answers: list[Answer]
    since: float
    change: int


class Ahead:
    """Answers that were asked for ahead; each is given once, and only while nothing changed."""

    def __init__(self, changes: Callable[[], int]) -> None:
        self._changes = changes
        self._guard = threading.Lock()
        self._asked: dict[str, _Question] = {}

    def begin(self, names: Iterable[str], ask: Callable[[str], Answer]) -> None:
        """Begin to ask for each, in threads that nobody waits for where the task ends first."""
        with self._guard:
            for name in dict.fromkeys(names):
                answers: list[Answer] = []
                asking = threading.Thread(target=_ask, args=(ask, name, answers), daemon=True)
                self._asked[name] = _Question(asking, answers, time.monotonic(), self._changes())
                asking.start()

    def taken(self, name: str) -> Answer | None:
        """Return the answer; None where it was not asked for, failed, or may be another one now."""
        with self._guard:
            found = self._asked.pop(name, None)
        if found is None or found.change != self._changes():
            return None
        if time.monotonic() - found.since > _SECONDS:
            return None
        found.asking.join()
        return found.answers[0] if found.answers else None


def _ask(ask: Callable[[str], Answer], name: str, answers: list[Answer]) -> None:
    try:
        answers.append(ask(name))
    except EngineError:
        pass  # who asks once more hears why
    except all_errors():  # loads docker's library, and so only where something is wrong
        pass
