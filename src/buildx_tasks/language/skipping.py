"""What ``[skip]`` may say."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated

from msgspec import Meta, Struct


class Skip(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[skip]``: where an unchanged target is looked for before it is built."""

    registry: Annotated[
        bool,
        Meta(
            description="Look in the registry of a target's own tags where this folder has never "
            "built it, and say the fingerprint in each manifest's annotations"
        ),
    ] = True
