"""Of what cannot all be used, what can be is kept, and the rest is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.convert import choosing

if TYPE_CHECKING:
    from buildx_tasks.convert.keeping import Data

BAD = {"tags": ["Me/Bad"]}


def test_what_is_refused_alone_is_left_out() -> None:
    data: Data = {
        "group": {"all": {"targets": ["a", "b"]}, "bad": {"targets": ["b"]}},
        "target": {"a": {"tags": ["a"]}, "b": BAD, "c": {"contexts": {"x": "target:b"}}},
    }
    found, notes = choosing.usable(data)
    assert found == {"group": {"all": {"targets": ["a"]}}, "target": {"a": {"tags": ["a"]}}}
    assert [note.partition(" is left out: ")[0] for note in notes] == ["[target.b]", "[target.c]"]


@pytest.mark.parametrize(
    "data",
    [
        {"target": {"a": BAD}},
        {"target": {"a": {"tags": ["a"]}}},
        {"target": {"a": {"tags": ["a"]}}, "variable": {"X": {"type": "none"}}},
    ],
)
def test_all_or_nothing_stays(data: Data) -> None:
    assert choosing.usable(data) == (data, [])


@pytest.mark.parametrize(
    ("targets", "default"),
    [
        ({"a": {"tags": ["x"]}, "b": {"tags": ["y"]}}, None),
        ({"a": {"tags": ["x"]}, "b": {"tags": ["docker.io/library/x:latest"]}}, ["b"]),
        (
            {
                "a": {"tags": ["x"], "platforms": ["linux/amd64", "linux/arm64"]},
                "b": {"tags": ["x"]},
            },
            ["a"],
        ),
        ({"a": {"tags": ["x", "y"]}, "b": {"tags": ["x"]}, "c": {"tags": ["y"]}}, ["b", "c"]),
        ({"a": {"tags": ["x", "y"]}, "b": {"tags": ["x"]}}, ["b"]),
        ({"a": {"tags": ["x", "y"]}, "b": {"tags": ["x", "y"]}}, ["b"]),
        ({"a": {"tags": ["x"]}, "b": {"tags": ["x"]}, "c": {}, "default": {"tags": ["x"]}}, None),
    ],
)
def test_of_two_targets_with_one_tag_one_is_the_default(
    targets: Data, default: list[str] | None
) -> None:
    found, notes = choosing.with_default({"target": targets})
    assert found.get("group", {}).get("default", {}).get("targets") == default
    assert bool(notes) == bool(default)
