"""Where values of variables come from besides the command line and the environment, as structures."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Optional, Union

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]


class FromFile(Struct, frozen=True, forbid_unknown_fields=True):
    """``{ file = "VERSION" }``: a default that a file holds, without the space around it."""

    file: Annotated[Text, Meta(description="File below the project's folder")]
    match: Annotated[
        Optional[Text], Meta(description="Regular expression; its first group is the value")
    ] = None


class Env(Struct, frozen=True, forbid_unknown_fields=True):
    """``[env]``: where values of variables come from besides the environment, which comes first."""

    file: Annotated[
        Union[Text, list[Text]], Meta(description="NAME=value lines, as .env; a later one wins")
    ]
