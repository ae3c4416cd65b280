"""Names that docker gives later become tags, and single platforms one target."""

from __future__ import annotations

from typing import Any

import pytest

from buildx_tasks.convert.tagging import Naming, named, naming


@pytest.mark.parametrize(
    ("kind", "words", "new", "old"),
    [
        ("tag", "a b", ["b"], ["a"]),
        ("manifest", "create x a b", ["x"], ["a", "b"]),
        ("manifest", "create x --amend a --amend b", ["x"], ["a", "b"]),
        ("manifest", "create x a", ["x"], ["a"]),
        ("manifest", "create x", None, None),
        ("imagetools", "create -t x --tag y a", ["x", "y"], ["a"]),
        ("manifest", "push x", None, None),
        ("imagetools", "inspect x", None, None),
        ("imagetools", "create --append -t x a", None, None),
        ("tag", "a", None, None),
    ],
)
def test_commands(kind: str, words: str, new: list[str] | None, old: list[str] | None) -> None:
    expected = Naming(new, old or [], "said") if new else None
    assert naming(kind, words.split(), "said") == expected


def joined(targets: dict[str, Any], *old: str) -> str | None:
    return named(targets, Naming(["app:1"], list(old), ""))


def test_another_tag() -> None:
    targets: dict[str, Any] = {"a": {"tags": ["app"]}, "b": {}}
    assert joined(targets, "app:latest") == "a"
    assert targets["a"]["tags"] == ["app", "app:1"]
    assert joined(targets, "other") is None


def test_platforms_become_one_target() -> None:
    targets: dict[str, Any] = {
        "a": {"tags": ["x:a"], "platforms": ["linux/amd64"], "args": {"V": "1"}, "target": "t"},
        "b": {"tags": ["x:b", "y"], "platforms": ["linux/arm64"], "args": {"V": "1"}},
    }
    assert joined(targets, "x:a", "x:b") == "a"
    assert targets == {
        "a": {
            "args": {"V": "1"},
            "platforms": ["linux/amd64", "linux/arm64"],
            "tags": ["y", "app:1"],
            "platform": {"linux/amd64": {"target": "t"}},
        }
    }


@pytest.mark.parametrize(
    "other",
    [
        {"platforms": ["linux/amd64"]},
        {"platforms": ["linux/arm64", "linux/386"]},
        {},
        {"platforms": ["linux/arm64"], "output": ["type=tar,dest=x"]},
    ],
)
def test_what_is_no_single_platform_stays_apart(other: dict[str, Any]) -> None:
    targets: dict[str, Any] = {
        "a": {"tags": ["x:a"], "platforms": ["linux/amd64"]},
        "b": {"tags": ["x:b"], **other},
    }
    assert joined(targets, "x:a", "x:b") is None
    assert set(targets) == {"a", "b"}
