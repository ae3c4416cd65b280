"""Secret values in; what changes with them and tells nothing of them, out.

The key is this machine's, in a folder of the user's own: without it a short value could be guessed
from its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, own_folder
from buildx_tasks.machine.made import state_folder

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "fingerprint.key"
_BYTES = 32


def machine_key(folder: Path | None = None) -> bytes:
    """Return the random key of this machine, made when it is first needed; ``b""`` where it can't be.

    Two processes that make it at once get the same one.
    """
    with suppress(OSError, EngineError):
        place = folder or state_folder()
        own_folder(place)
        for _ in range(2):
            with suppress(FileNotFoundError):
                with os.fdopen(open_own(place / _FILE, os.O_RDONLY), "rb") as stream:
                    found = stream.read()
                if len(found) == _BYTES:
                    return found
                (place / _FILE).unlink()  # who wrote it was killed
            _make(place)
    return b""


def _make(place: Path) -> None:
    new = place / f".{_FILE}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(open_own(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as stream:
            stream.write(secrets.token_bytes(_BYTES))
        with suppress(FileExistsError):
            os.link(new, place / _FILE)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()


def keyed(key: bytes, value: bytes) -> str:
    """Return the HMAC-SHA256 of a value."""
    return hmac.new(key, value, hashlib.sha256).hexdigest()
