"""Words that expectations are made of: texts, paths, ports, times and sizes, each with its bounds."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Union

from msgspec import Meta

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}

Text = Annotated[str, Meta(min_length=1)]
Texts = list[Text]
Path = Annotated[str, Meta(pattern="^/")]
Port = Annotated[int, Meta(ge=1, le=65535)]
ExitCode = Annotated[int, Meta(ge=0, le=255)]
Seconds = Annotated[float, Meta(gt=0)]
Bytes = Union[
    Annotated[int, Meta(ge=0)],
    Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)? ?([kMGT]i?)?B$")],
]
# Less than 6 MB is refused by the engine, nothing at all is no limit.
Memory = Union[
    Annotated[int, Meta(ge=6_291_456)],
    Annotated[str, Meta(pattern=r"^[0-9]*[1-9][0-9.]* ?([kMGT]i?)?B$")],
]


def hours(text: "str | None") -> int:
    """Return the hours that a text as ``14d`` says, 0 for none."""
    return int(text[:-1]) * _HOURS[text[-1]] if text else 0
