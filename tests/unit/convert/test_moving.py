"""Paths that were told from one folder are told from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.convert.comparing import differences
from buildx_tasks.convert.moving import from_here, moved, rename

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, {"context": "sub"}),
        ({"context": "../a", "dockerfile": "D"}, {"context": "a", "dockerfile": "D"}),
        ({"context": "https://h/x.git"}, {"context": "https://h/x.git"}),
        ({"context": "/abs"}, {"context": "/abs"}),
        (
            {"contexts": {"a": "x", "b": "docker-image://a", "c": "target:t"}},
            {
                "context": "sub",
                "contexts": {"a": "sub/x", "b": "docker-image://a", "c": "target:t"},
            },
        ),
        (
            {"secret": ["id=a,src=f", "id=b,env=B"], "output": ["out", "type=docker"]},
            {
                "context": "sub",
                "secret": ["id=a,src=sub/f", "id=b,env=B"],
                "output": ["sub/out", "type=docker"],
            },
        ),
        (
            {
                "cache-to": ["type=local,dest=c,mode=max"],
                "cache-from": [{"type": "local", "src": "c"}],
            },
            {
                "context": "sub",
                "cache-to": ["type=local,dest=sub/c,mode=max"],
                "cache-from": [{"type": "local", "src": "sub/c"}],
            },
        ),
        ({"secret": ["id=a,src=${HOME}/f"]}, {"context": "sub", "secret": ["id=a,src=${HOME}/f"]}),
    ],
)
def test_paths(table: dict[str, Any], expected: dict[str, Any]) -> None:
    assert moved(table, "sub") == expected
    assert moved(table, ".") == table


def test_links() -> None:
    table = {"contexts": {"a": "target:old", "b": "target:older"}}
    rename(table, "old", "new")
    assert table == {"contexts": {"a": "target:new", "b": "target:older"}}


def test_differences_are_one_line() -> None:
    said = differences({"args": {"A": "1"}, "target": "t"}, {"args": {"A": "2"}, "tags": ["x"]})
    assert said == (
        'differs: args: {"A": "1"} before, {"A": "2"} now; target: "t" before, nothing now; '
        'tags: nothing before, ["x"] now'
    )


def test_whole_paths_below_this_folder_are_told_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    assert from_here({"context": here, "dockerfile": f"{here}/docker/D"}) == {
        "context": ".",
        "dockerfile": "docker/D",
    }
    assert from_here(
        {"context": f"{here}/a", "dockerfile": f"{here}/b/D", "contexts": {"x": f"{here}/c"}}
    ) == {"context": "a", "dockerfile": "../b/D", "contexts": {"x": "c"}}
    elsewhere = {
        "context": f"{here}-more",
        "dockerfile": f"{here}/D",
        "contexts": {"x": "/", "y": "https://example.com/x.git", "z": "${X}"},
        "args": {"ROOT": here},
    }
    assert from_here(elsewhere) == elsewhere
