"""A container's standard output, error and input, each moved by a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults
from buildx_tasks.engine.containers import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_OUTPUT = 1_000_000  # bytes kept of each stream; a flood must not fill the memory


class Output:
    """What a container prints, read from its start on.

    The first MOST_OUTPUT bytes of each stream are kept. ``overflown`` names the stream that had more;
    then ``flood`` was called, once, in another thread: the engine ends a container only once its
    output is taken off.
    """

    def __init__(self, container: Any, flood: Callable[[], object] | None = None) -> None:
        self.overflown = ""
        self._flood = flood
        self._flooded: threading.Thread | None = None
        self._kept = {1: bytearray(), 2: bytearray()}
        self._attachment = Attachment(container, stdout=1, stderr=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: the container has ended, has closed both, or the engine has."""
        return not self._reader.is_alive()

    def close(self, seconds: float = 10) -> tuple[str, str]:
        """Return standard output and error, once they end (or after ``seconds``)."""
        self._reader.join(seconds)
        self._attachment.hang_up()
        self._reader.join()
        self._attachment.close()
        if self._flooded:
            self._flooded.join()
        stdout, stderr = (kept.decode("utf-8", errors="replace") for kept in self._kept.values())
        return stdout, stderr

    def _read(self) -> None:
        # What a dying engine does to the connection is found by who asks for the container's end.
        with contextlib.suppress(OSError):
            for stream, piece in self._attachment.pieces():
                kept = self._kept[stream]
                room = MOST_OUTPUT - len(kept)
                kept += piece[:room]
                if len(piece) > room and not self.overflown:
                    self.overflown = ("stdout", "stderr")[stream - 1]
                    if self._flood:
                        self._flooded = threading.Thread(target=self._stop, daemon=True)
                        self._flooded.start()

    def _stop(self) -> None:
        # Who waits for the container's end finds what is wrong with the engine.
        with contextlib.suppress(*faults.all_errors()):
            if self._flood:
                self._flood()


class Input:
    """Writes a text to a container's standard input, and ends it."""

    def __init__(self, container: Any, text: str) -> None:
        # A connection of its own, whose end is the input's: not all transports can be half-closed.
        self._attachment = Attachment(container, stdin=1)
        self._writer = threading.Thread(target=self._write, args=(text.encode(),), daemon=True)

    def start(self) -> None:
        """Begin to write: once the container was started."""
        self._writer.start()

    def close(self) -> None:
        """Stop writing: nobody reads it any more."""
        self._attachment.hang_up()
        if self._writer.ident:
            self._writer.join()
        self._attachment.close()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it ended without reading it all
            self._attachment.send(data)
        self._attachment.hang_up()
