"""The parts of a fingerprint: named as people call them, and none that holds a value."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from buildx_tasks.inputs import parts
from buildx_tasks.inputs.known import KnownFiles
from buildx_tasks.inputs.trees import tree_of

if TYPE_CHECKING:
    from pathlib import Path

SAID = {
    "tools": ("docker", "28.5.2"),
    "attributes": {"args": {"VERSION": "1"}, "tags": ["a:v1"], "contexts": {"x": "y"}},
    "contexts": {"alpine:3.22": "alpine@sha256:1"},
    "context": {"dockerfile": "0" * 64, "ignore": "", "tree": "1" * 64},
    "secrets": {"token": "s3cr3t"},
    "outside": ["alpine@sha256:1"],
}


def test_each_part_has_a_name_and_a_short_hash() -> None:
    found = parts.parts_of(SAID, {})
    assert list(found) == [
        parts.TOOLS,
        "argument VERSION",
        "attribute tags",
        "context alpine:3.22",
        "secret token",
        parts.IMAGES,
        parts.DOCKERFILE,
        parts.IGNORED,
        parts.FILES,
    ]
    assert all(re.fullmatch("[0-9a-f]{8}", one) for one in found.values())
    assert "s3cr3t" not in str(found)
    other = parts.parts_of({**SAID, "outside": ["alpine@sha256:2"]}, {})
    assert [name for name in found if found[name] != other[name]] == [parts.IMAGES]


def test_the_files_of_a_small_context_are_parts_of_their_own(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("1")
    (context / "b").write_text("1")
    known = KnownFiles(tmp_path / "files.json")
    before = parts.parts_of(SAID, tree_of(str(context), None, known).parts)
    assert {"file a", "file b"} <= before.keys()
    assert parts.FILES not in before
    (context / "a").write_text("23")
    (context / "b").chmod(0o755)
    (context / "c").symlink_to("a")
    now = parts.parts_of(SAID, tree_of(str(context), None, known).parts)
    assert [name for name in now if now[name] != before.get(name)] == ["file a", "file b", "file c"]
    for number in range(400):
        (context / f"n{number}").touch()
    tree = tree_of(str(context), None, known)
    assert not tree.parts
    assert parts.FILES in parts.parts_of(SAID, tree.parts)


def test_a_name_that_is_no_text_is_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    found = tree_of(str(tmp_path), None, KnownFiles(tmp_path / "files.json")).parts
    assert "caf\\xe9.txt" in found
    assert [name.encode() for name in found]
