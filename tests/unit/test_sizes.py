from __future__ import annotations

import re

import pytest
from msgspec import ValidationError, convert

from buildx_tasks import sizes
from buildx_tasks.language.measures import Bytes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (512, 512),
        ("7B", 7),
        ("10kB", 10_000),
        ("10MB", 10_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2TB", 2_000_000_000_000),
        ("1kiB", 1024),
        ("1.5 GiB", 1_610_612_736),
        ("0.1MB", 100_000),
    ],
)
def test_parse(value: int | str, expected: int) -> None:
    assert convert(value, Bytes) == value
    assert sizes.parse(value) == expected


@pytest.mark.parametrize(
    "value", ["", "10", "10 M", "MB", "1,5MB", "-1MB", "10mb", "1  MB", "10iB"]
)
def test_what_is_no_size(value: str) -> None:
    with pytest.raises(ValidationError):
        convert(value, Bytes)
    with pytest.raises(ValueError, match=re.escape(f'"{value}" is no size; write it as in 10MB')):
        sizes.parse(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**15, "5000.0 TB"),
        (-12_345_678, "-12.3 MB"),
    ],
)
def test_text(size: int, text: str) -> None:
    assert sizes.text(size) == text
