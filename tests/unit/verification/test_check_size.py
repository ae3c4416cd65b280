from __future__ import annotations

from typing import Any

import msgspec
import pytest

from buildx_tasks.images.layers import Layer
from buildx_tasks.language import expectations
from buildx_tasks.verification.checks.size import Last, biggest, compare

NEW = Last(0, unknown=True)


def problems(expected: dict[str, Any], compressed: int | None, last: Last = NEW) -> list[str]:
    spec = msgspec.convert(expected, expectations.Size)
    return list(compare(spec, compressed, 30_000_000, last, "; …"))


@pytest.mark.parametrize(
    ("expected", "last"),
    [
        ({}, NEW),
        ({"compressed": "12MB", "unpacked": "30MB", "growth": 0}, NEW),
        ({"compressed": 12_000_000, "unpacked": 30_000_000}, NEW),
        ({"growth": 20}, Last(10_000_000)),
        ({"growth": 0}, Last(12_000_000)),
        ({"growth": 0}, Last(99_000_000)),
    ],
)
def test_up_to_the_limit_is_no_problem(expected: dict[str, Any], last: Last) -> None:
    assert problems(expected, 12_000_000, last) == []


@pytest.mark.parametrize(
    ("expected", "last", "problem"),
    [
        ({"compressed": "10MB"}, NEW, "compressed: 12.0 MB, at most 10.0 MB allowed; …"),
        (
            {"compressed": 11_999_999},
            NEW,
            "compressed: 12,000,000 B, at most 11,999,999 B allowed; …",
        ),
        ({"unpacked": "20MB"}, NEW, "unpacked: 30.0 MB, at most 20.0 MB allowed; …"),
        (
            {"growth": 10},
            Last(10_000_000),
            "growth: +20.0 % since the last push (10.0 MB, now 12.0 MB compressed), "
            "at most 10 % allowed; …",
        ),
        (
            {"growth": 10},
            Last(0),
            "growth: from nothing since the last push (0 B, now 12.0 MB compressed), "
            "at most 10 % allowed; …",
        ),
    ],
)
def test_problems_name_the_size_and_the_limit(
    expected: dict[str, Any], last: Last, problem: str
) -> None:
    assert problems(expected, 12_000_000, last) == [problem]


def test_what_the_classic_store_does_not_know_is_a_problem() -> None:
    found = problems({"compressed": 1, "growth": 1, "unpacked": "1GB"}, None)
    assert [problem.partition(" the ")[0] for problem in found] == [
        "compressed: not known:",
        "growth: not known:",
    ]
    assert problems({"unpacked": "1GB"}, None) == []


def test_a_last_push_that_is_not_known_is_a_problem_of_growth_only() -> None:
    lost = Last(0, fault="no answer in 30 s")
    assert problems({"growth": 10, "compressed": "20MB"}, 12_000_000, lost) == [
        "growth: the last push is not known (no answer in 30 s); see to it that the registry "
        "answers (docker login, where it wants that), and verify again"
    ]
    assert problems({"compressed": "20MB"}, 12_000_000, lost) == []


def test_the_biggest_layers_come_first() -> None:
    layers = [
        Layer("a", 10, "COPY a"),
        Layer("b", 3_000_000, "COPY b"),
        Layer("c", 5),
        Layer("d", 7),
    ]
    assert biggest(layers) == "; biggest layers: 3.0 MB COPY b, 10 B COPY a, 7 B"
    assert biggest([]) == ""
