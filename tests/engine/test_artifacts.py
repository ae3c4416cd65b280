"""Charts and files of a release: pushed, read back and promoted in a real registry, as images are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from buildx_tasks import Project as Api

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[target.app]
tags = ["{registry}/{name}/image:v1"]
dockerfile-inline = "FROM alpine:3.22"

[artifact.chart]
path = "chart"
type = "helm"
tags = ["{registry}/{name}/app", "{registry}/{name}/app:latest"]
immutable = ["1.*"]

[artifact.docs]
path = "docs"
type = "application/vnd.example.docs"
tags = ["{registry}/{name}/docs:v1"]
"""


def test_a_file_of_artifacts_alone_and_from_python(
    project: Project, name: str, registry: str
) -> None:
    (project.folder / "docs").mkdir()
    (project.folder / "docs/a.json").write_text("{}")
    tag = f"{registry}/{name}/docs:v1"
    kind = "application/vnd.example.docs"
    project.write(f'[artifact.docs]\npath = "docs"\ntype = "{kind}"\ntags = ["{tag}"]\n')
    assert project.ok("plan") == f"artifact docs: {kind}, 1 file, 4 B, {tag}\n"
    assert json.loads(project.ok("plan", "--format", "json"))["artifacts"][0]["tags"] == [tag]
    with Api.load(project.folder) as loaded:
        chosen = loaded.artifacts("docs")
        (one,) = chosen.packed
        assert (one.name, one.what, list(map(str, one.tags))) == ("docs", f"{kind}, 1 file", [tag])
        (moved,) = chosen.push()
        assert (str(moved.tag), moved.digest) == (tag, one.digest)
        (promoted,) = loaded.promote(tag, "v2")
        assert promoted.digest == one.digest
        (found,) = loaded.audit(tag).results
        assert [check.facts for check in found.checks] == [(f"{kind}, 1 file, 2 B",)]
    assert project.ok("push").splitlines() == [f"{tag}@{one.digest}", "1 tag was there already"]
    said = project.ok("verify", "--published", env={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert f"{tag} (index)" in said
    project.write(f'[artifact.docs]\npath = "docs"\ntype = "{kind}"\ntags = ["{tag}9"]\n')
    result = project.invoke("verify", "--published")
    assert result.returncode == 1
    assert f"{tag}9 is not in its registry; run invoke push --artifact docs" in result.stdout
    for words in (("build",), ("verify",), ("push", "--tag", "v3"), ("push", "-t", "app")):
        refused = project.invoke(*words)
        assert refused.returncode == 2
        assert "no [target.NAME] is declared" in refused.stderr


def test_charts_and_files(project: Project, name: str, registry: str) -> None:
    chart, docs = project.folder / "chart", project.folder / "docs"
    for folder in (chart, docs):
        folder.mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.2.0\n")
    (docs / "a.json").write_text("{}")
    # More than one piece of an upload.
    (docs / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    project.write(TOML.format(registry=registry, name=name))

    digests = {}
    for line in project.ok("--dry", "push").splitlines():
        if line.startswith("# artifact "):
            digests[line.split()[2].rstrip(":")] = line.split()[-1]
    said = project.ok("push", "--artifact", "chart", "--artifact", "docs")
    assert said.splitlines() == [
        f"{registry}/{name}/app:1.2.0@{digests['chart']}",
        f"{registry}/{name}/app:latest@{digests['chart']}",
        f"{registry}/{name}/docs:v1@{digests['docs']}",
        "3 tags moved",
    ]
    project.ok("build", "--progress", "quiet")
    assert project.ok("push").splitlines()[-1] == "1 tag moved, 3 were there already"

    shown = project.ok("inspect", "--ref", f"{registry}/{name}/app:1.2.0")
    assert shown.splitlines()[0].endswith(
        f"artifact {digests['chart']}  helm chart app 1.2.0, 10.3 kB"
    )
    shown = project.ok("inspect", "--ref", f"{registry}/{name}/docs:v1", "--format", "json")
    (part,) = json.loads(shown)[0]["platforms"]
    assert part["kind"] == "application/vnd.example.docs"
    assert [layer["instruction"] for layer in part["layers"]] == ["a.json", "large.bin"]

    promoted = f"{registry}/{name}-prod/app:1.2.0"
    said = project.ok("promote", "--from", f"{registry}/{name}/app:latest", "--to", promoted)
    assert said.splitlines()[0] == f"{promoted}@{digests['chart']}"
    events = [entry["event"] for entry in json.loads(project.ok("log", "--format", "json"))]
    assert events.count("artifact") == 6
    assert events.count("promoted") == 1

    (chart / "values.yaml").write_text("a: 1\n")
    result = project.invoke("push", "--artifact", "chart")
    assert result.returncode == 1
    assert "is immutable and holds" in result.stderr
    assert "change [artifact.chart]" in result.stderr
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.2.1\n")
    assert project.ok("push", "--artifact", "chart").splitlines()[-1] == "2 tags moved"
    (chart / "Chart.yaml").unlink()
    result = project.invoke("push")
    assert result.returncode == 2
    assert 'buildx.toml:7:1: "chart": it has no Chart.yaml' in result.stderr
