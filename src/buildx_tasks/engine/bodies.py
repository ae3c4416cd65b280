"""A body that others send, with its size and digest, in; the same bytes out, cut at and checked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The digests that can be checked. \Z, not $, which lets a newline pass.
DIGEST = r"\A(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z"


class OtherBytesError(Exception):
    """The bytes are not those that the descriptor speaks of.

    ``is_lie`` says that its size is wrong, which never passes by itself; others may be cut off.
    """

    def __init__(self, reason: str, *, is_lie: bool = False) -> None:
        super().__init__(reason)
        self.is_lie = is_lie


def algorithm_of(digest: str) -> str:
    """Return how a digest is computed."""
    return "sha512" if digest.startswith("sha512:") else "sha256"


def checked(chunks: Iterable[bytes], digest: str, size: int | None) -> Iterator[bytes]:
    """Yield a body as it comes, its last piece only once size and digest are right.

    So nobody who hands it on has ever sent all of a wrong one. ``size`` is None where nothing says it.

    Raises:
        OtherBytesError: they are wrong.

    """
    algorithm = algorithm_of(digest)
    seen = hashlib.new(algorithm)
    total, held = 0, b""
    for chunk in chunks:
        total += len(chunk)
        if size is not None and total > size:
            reason = f"it has more than the {size} bytes that its descriptor says"
            raise OtherBytesError(reason, is_lie=True)
        seen.update(chunk)
        if held:
            yield held
        held = chunk
    is_right = f"{algorithm}:{seen.hexdigest()}" == digest
    if size is not None and total < size:
        reason = f"it ended after {total} of the {size} bytes that its descriptor says"
        raise OtherBytesError(reason, is_lie=is_right)
    if not is_right:
        raise OtherBytesError("its bytes are others than its digest says")
    if held:
        yield held
