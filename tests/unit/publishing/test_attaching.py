"""A person's own files: what kind of document each is, and what cannot be attached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from buildx_tasks import Project
from buildx_tasks.errors import ConfigError
from buildx_tasks.publishing import attaching
from buildx_tasks.publishing.evidence import MOST

if TYPE_CHECKING:
    from pathlib import Path

BASE = (
    '[target.app]\nplatforms = ["linux/amd64", "linux/arm/v7"]\ntags = ["localhost:5000/app:v1"]\n'
)


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        ({"spdxVersion": "SPDX-2.3"}, "x", "application/spdx+json"),
        (
            {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"},
            "x",
            "application/spdx+json",
        ),
        ({"bomFormat": "CycloneDX", "specVersion": "1.6"}, "x", "application/vnd.cyclonedx+json"),
        ({"@context": "https://openvex.dev/ns/v0.2.0"}, "x", "application/vnd.openvex+json"),
        ({"version": "2.1.0", "runs": []}, "x.json", "application/sarif+json"),
        ({"$schema": "https://x/sarif-2.1.0.json", "runs": []}, "x", "application/sarif+json"),
        ({"_type": "https://in-toto.io/Statement/v1"}, "x", "application/vnd.in-toto+json"),
        ({"version": "2.1.0"}, "x.json", "application/json"),
        ({"spdxVersion": 3, "runs": None}, "x.json", "application/json"),
        ({}, "report", "application/octet-stream"),
        (b"{", "x.JSON", "application/json"),
        (b'{"a":' * 99999, "x.json", "application/json"),
        (
            b'<?xml version="1.0"?>\n<bom xmlns="http://cyclonedx.org/schema/bom/1.6">',
            "x.xml",
            "application/vnd.cyclonedx+xml",
        ),
        (b"<html>", "x.html", "text/html"),
        (b"SPDXVersion: SPDX-2.3\n", "x", "text/spdx"),
        (b"", "notes.md", "text/markdown"),
        (b"\x00\xff", "x.", "application/octet-stream"),
    ],
)
def test_a_file_is_known_by_its_content_and_then_by_its_name(
    content: object, name: str, kind: str
) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert attaching.kind_of(data, name)[0] == kind


def files_of(folder: Path, text: str) -> list[tuple[str, str, str]]:
    (folder / "buildx.toml").write_text(f"{BASE}push.attach = {text}\n")
    with Project.load(folder) as project:
        targets = project.select("app").plan.targets
        found = attaching.given(project, targets)["app"]
    return [(one.key, one.name, str(one.platform or "")) for one in found]


def test_a_path_that_names_the_platform_is_a_file_of_each(tmp_path: Path) -> None:
    for name in ("a-linux-amd64", "a-linux-arm-v7", "b-amd64-", "b-arm-v7", "app.txt"):
        (tmp_path / name).write_text("x")
    assert files_of(
        tmp_path, '{ a = "a-{platform}", b = "b-{arch}-{variant}", c = "{target}.txt" }'
    ) == [
        ("a", "a-linux-amd64", "linux/amd64"),
        ("a", "a-linux-arm-v7", "linux/arm/v7"),
        ("b", "b-amd64-", "linux/amd64"),
        ("b", "b-arm-v7", "linux/arm/v7"),
        ("c", "app.txt", ""),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{ a = "none.txt" }', r"none\.txt \(not there\); write the files before the push"),
        ('{ a = "../outside" }', r"\.\./outside \(outside the project's folder\)"),
        ('{ a = "link" }', r"link \(outside the project's folder\)"),
        ('{ a = "folder" }', r"folder \(Is a directory\)"),
        ('{ a = "large" }', r"large \(more than 64 MiB\)"),
        ('{ a = "x-{plattform}" }', r"\{plattform\} is no placeholder; did you mean"),
        (
            '{ a = "x-{bird}" }',
            r"is no placeholder; a file's path knows \{variant\}, \{target\}, ",
        ),
        ('{ a = "" }', "empty"),
        ('{ a = ["b"] }', '"a" must be a string, not a list'),
    ],
)
def test_what_cannot_be_attached_is_said_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    project = tmp_path / "project"
    (project / "folder").mkdir(parents=True)
    (tmp_path / "outside").write_text("x")
    (project / "link").symlink_to("../outside")
    with (project / "large").open("wb") as stream:
        stream.truncate(MOST + 1)
    with pytest.raises(ConfigError, match=said) as caught:
        files_of(project, text)
    assert str(caught.value).startswith("buildx.toml:4:")
