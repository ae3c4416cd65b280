"""What ``[cache]`` may say."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Literal, Optional

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]
When = Literal["ci", "always"]


class Caches(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[cache]``: cache mounts (``RUN --mount=type=cache``) that outlive a CI's machine."""

    mounts: Annotated[
        list[Text],
        Meta(
            description="Ids of cache mounts, as in go-build-{arch}, that are brought before a build and "
            "kept after it, in a registry; {platform}, {os}, {arch} and {variant} are the target's"
        ),
    ] = []
    to: Annotated[
        Optional[Text],
        Meta(
            description="Repository that keeps them, as in localhost:5000/cache; default: that of the "
            "first tag of the target that has the mount"
        ),
    ] = None
    helper: Annotated[
        Optional[Text],
        Meta(
            description="Image with sh, tar and grep that copies them, as in alpine:3.22@sha256:…; "
            "default: what the stage that has the mount starts from"
        ),
    ] = None
    when: Annotated[
        When, Meta(description="ci: where CI is set in the environment; always: on each machine")
    ] = "ci"
