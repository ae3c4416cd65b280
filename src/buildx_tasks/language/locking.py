"""``[lock]``: what ``invoke lock`` keeps to."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Union

from msgspec import Meta, Struct

from buildx_tasks.language.measures import hours

Text = Annotated[str, Meta(min_length=1)]


class Lock(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[lock]``: what ``invoke lock`` writes into ``buildx.lock``."""

    exclude: Annotated[
        list[Text],
        Meta(
            description='Images and repositories that stay as they are named, as globs, as in "*:dev"'
        ),
    ] = []
    cooldown: Annotated[
        Union[Annotated[str, Meta(pattern="^[0-9]+[hdw]$")], None],
        Meta(
            description="Age that an image must have before a pin moves to it, as in 14d (h, d or w)"
        ),
    ] = None

    @property
    def hours(self) -> int:
        """The cooldown in hours, 0 for none."""
        return hours(self.cooldown)
