"""Chunks of a known size in all in; a request's body that never gives more or fewer bytes, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from buildx_tasks.errors import MissingError, RegistryError
from buildx_tasks.registry.faults import PassingError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Body:
    """A request's body of known length: with chunks of unknown number, registries behave differently.

    Not a byte more than that is given: it would go down the connection as a request of its own.
    """

    def __init__(
        self, chunks: Iterable[bytes], what: str, size: int, sent: Callable[[int], object]
    ) -> None:
        self._chunks = iter(chunks)
        self._what = what
        self._size = size
        self._sent = sent
        self._through = 0
        sent(0)

    def __len__(self) -> int:
        return self._size

    def read(self, _size: int = -1) -> bytes:
        """Return a whole chunk, whatever is asked for: the sender takes it as it comes."""
        piece = self._next()
        self._through += len(piece)
        # The last one goes when it is sure to be that. Whoever raises here has the connection
        # closed, and never used again.
        is_last = self._through == self._size
        if self._through > self._size or (is_last and piece and self._next()):
            raise self._lie("more")
        if not piece and not is_last:
            raise self._lie("fewer")
        if piece:
            self._sent(self._through)
        return piece

    def _next(self) -> bytes:
        from requests.exceptions import ConnectionError as Lost

        try:
            return next(self._chunks, b"")
        except PassingError as error:  # from another registry
            raise Lost(str(error)) from None
        except MissingError as error:  # there; not what it is sent to
            raise RegistryError(str(error)) from None

    def _lie(self, how: str) -> RegistryError:
        said = f"it has {how} than the {self._size} bytes that its descriptor says"
        return RegistryError(f"{self._what}: {said}; it is no image to go on with")

    def close(self) -> None:
        """End where the chunks come from."""
        close = getattr(self._chunks, "close", None)
        if close:
            close()
