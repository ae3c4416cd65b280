"""Release notes are of releases: not of a tree with changes, and of one version where it is named."""

from __future__ import annotations

from typing import Any

import pytest

from buildx_tasks.records.release_notes import released

PLACE = "localhost:5000/app"


def _push(second: int, tag: str, digit: str, event: str = "pushed") -> dict[str, Any]:
    return {
        "event": event,
        "at": f"2026-11-25T08:00:{second:02}+00:00",
        "target": "app",
        "tag": f"{PLACE}:{tag}",
        "digest": f"sha256:{digit * 64}",
        "verified": "passed",
    }


ENTRIES = [
    _push(1, "v1.2.0-rc.1", "1"),
    _push(2, "v1.2.0", "2"),
    _push(2, "v1.2.0-alpine", "2"),
    _push(3, "v1.3.0", "3"),
    _push(3, "latest", "3"),
    _push(4, "v1.3.0-2-gabcdef1-dirty", "4"),
    _push(4, "edge", "4"),
]


def tags(entries: list[dict[str, Any]], version: str = "") -> list[str]:
    found = released(entries, ["app"], strangers=True, version=version)
    return [one.tag.rpartition(":")[2] for listed in found.values() for one in listed]


def test_a_tree_with_changes_is_no_release() -> None:
    assert tags(ENTRIES) == ["v1.3.0", "latest"]
    assert tags(ENTRIES[-2:]) == []


def test_a_clean_version_of_the_same_image_is_one() -> None:
    assert tags([*ENTRIES, _push(5, "v1.4.0", "4")]) == ["edge", "v1.4.0"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1.2.0", ["v1.2.0", "v1.2.0-alpine"]),
        ("1.2.0", ["v1.2.0", "v1.2.0-alpine"]),
        ("v1.2.0-rc.1", ["v1.2.0-rc.1"]),
        ("v1.3.0", ["v1.3.0", "latest"]),
        ("v1.2", []),
        ("v9", []),
    ],
)
def test_a_version_limits_them(version: str, expected: list[str]) -> None:
    assert tags(ENTRIES, version) == expected
