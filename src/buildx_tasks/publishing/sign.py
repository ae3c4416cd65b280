"""Signatures by cosign, of digests: what is signed is what was verified, whatever a tag says.

Source: https://docs.sigstore.dev/cosign/signing/signing_with_containers/
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from buildx_tasks.errors import PushError

if TYPE_CHECKING:
    from buildx_tasks.machine.commands import Commands


def command(key: bool | str, reference: str) -> list[str]:
    """Return what signs ``repository@digest``; ``key`` is a file, an address, or True: keyless."""
    keyed = ["--key", key] if isinstance(key, str) else []
    return ["cosign", "sign", "--yes", *keyed, reference]


def require_cosign() -> None:
    """Refuse to begin where nothing can sign.

    Raises:
        PushError: cosign is not on PATH.

    """
    if not shutil.which("cosign"):
        raise PushError(
            "[target.NAME.push] has sign, and cosign is not on PATH; install it, or remove sign"
        )


def sign(commands: Commands, key: bool | str, reference: str) -> None:
    """Sign one digest; cosign asks and answers in the terminal.

    Raises:
        PushError: it was not signed.

    """
    if not commands.run(command(key, reference), tty=True).ok:
        raise PushError(f"{reference} was not signed; cosign says why above. No tag was moved")
