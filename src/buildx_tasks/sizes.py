"""Sizes in bytes, as people write them: ``10MB``, ``1.5 GiB``."""

from __future__ import annotations

import re

_UNITS: dict[str, int] = {
    "": 1,
    **{f"{letter}": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kMGT", 1)},
}
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?((?:[kMGT]i?)?)B")


def parse(value: int | str) -> int:
    """Return the bytes that ``value`` says: a number of bytes, or a text as in ``1.5 GiB``.

    ``kB``, ``MB``, ``GB``, ``TB`` are powers of 1000; ``kiB``, ``MiB``, ``GiB``, ``TiB`` of 1024.

    Raises:
        ValueError: the text is no size.

    """
    if isinstance(value, int):
        return value
    matched = _TEXT.fullmatch(value)
    if matched is None:
        raise ValueError(f'"{value}" is no size; write it as in 10MB or 1.5 GiB')
    number, unit = matched.groups()
    return round(float(number) * _UNITS[unit])


def text(size: int) -> str:
    """Return bytes as a person reads them, in powers of 1000: ``12.3 MB``, ``512 B``."""
    if abs(size) < 1000:
        return f"{size} B"
    for power, letter in enumerate("kMGT", 1):
        # What rounds to 1000.0 belongs to the next unit.
        if abs(size) < 999.95 * 1000**power or letter == "T":
            return f"{size / 1000**power:.1f} {letter}B"
    raise AssertionError(size)
