"""``[audit]``: what ``invoke verify`` looks at in registries, besides the project's own."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Union

from msgspec import Meta, Struct

from buildx_tasks.language.measures import hours

Text = Annotated[str, Meta(min_length=1)]
Path = Annotated[str, Meta(pattern="^/")]


class Audit(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[audit]``: images that the project depends on, and what is in images on purpose."""

    images: Annotated[
        list[Text],
        Meta(
            description="Published images that invoke verify --audit looks at, as in "
            "ghcr.io/org/app:v1, with a digest too"
        ),
    ] = []
    allow: Annotated[
        list[Path],
        Meta(
            description="Globs of files that are for another machine on purpose, as in /opt/firmware/**"
        ),
    ] = []
    setuid: Annotated[
        list[Path],
        Meta(
            description="Globs of programs that are setuid or setgid on purpose, besides those that "
            "distributions have so"
        ),
    ] = []
    behind: Annotated[
        Union[Annotated[str, Meta(pattern="^[0-9]+[hdw]$")], None],
        Meta(
            description="Age from which a published image of ours fails where buildx.lock has moved on "
            "from its bases, as in 30d (h, d or w); without it that is a note"
        ),
    ] = None

    @property
    def hours(self) -> int:
        """How old an image may be that stays behind, in hours."""
        return hours(self.behind)
