"""What was built beside what is published: nothing there, the same, changed, and nobody to ask."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM scratch
COPY f /
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{tag}"]
'''
HEADINGS = ["target", "platform", "size", "published", "difference", "digest"]


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_built_beside_published(project: Project, registry: str, name: str) -> None:
    tag = f"{registry}/{name}:v1.0.0"
    project.write(TOML.format(tag=tag)).write("1", "f")
    project.ok("build", "--progress", "quiet")
    lines = project.ok("log", "--diff-published").splitlines()
    assert lines[0].split() == HEADINGS
    assert all(line.endswith("not published yet") for line in lines[1:])
    assert lines[-1] == "app: not published yet"
    project.ok("push", "--no-verify")
    same = json.loads(project.ok("log", "--diff-published", "--format", "json"))
    assert [(one["platform"], one["same"], one["difference"]) for one in same] == [
        ("linux/amd64", True, 0),
        ("linux/arm64", True, 0),
    ]
    # A version that is new has no tag yet: it grew from the one before.
    later = tag.replace("v1.0.0", "v1.1.0")
    project.write(TOML.format(tag=later)).write(os.urandom(40_000).hex(), "f")
    project.ok("build", "--progress", "quiet")
    text = project.ok("log", "--diff-published", "-p", "linux/arm64", "--format", "markdown")
    heading, _, row, _, below = rows(text)
    assert heading == HEADINGS
    assert row[:2] == ["`app`", "`linux/arm64`"]
    assert row[4].startswith("+")
    assert row[5] == "changed"
    assert below == [f"`app`: compared with `{tag}`"]


def test_a_written_report_has_commit_tags_and_sizes(
    project: Project, registry: str, name: str
) -> None:
    tag = f"{registry}/{name}:v1"
    project.write(TOML.format(tag=tag) + "verify.config.user = ''\n").write("1", "f")
    project.ok("build", "--progress", "quiet")
    project.ok("push", "--no-verify")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@a.invalid", "-C", str(project.folder)]
    for argv in (["init", "--quiet"], ["add", "-A"], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *argv], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    summary = project.folder / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    project.ok("verify", "--json", "r.json", "--html", "r.html", "--junit", "r.xml", env=env)
    told = json.loads((project.folder / "r.json").read_text())
    # What the person wrote since is in the tree, and not in the commit.
    assert told["commit"].startswith(commit)
    assert told["tags"] == {"app": [tag]}
    assert {one["same"] for one in told["sizes"]} == {True}
    assert told["tools"]["QEMU"].endswith("for linux/arm64")
    assert told["tools"]["buildx"] in docker("buildx", "version")
    assert list(told["tools"])[-1] == "buildx-tasks"
    for path in ("summary.md", "r.html", "r.xml"):
        text = (project.folder / path).read_text()
        assert commit in text
        assert tag in text
    assert f"compared with `{tag}`" in summary.read_text()
    # The page has the timeline of the build, too, and a job its table.
    assert "By cell" in (project.folder / "r.html").read_text()
    project.ok("build", "--always", "--progress", "quiet", env=env)
    assert "## ✅ build: built in " in summary.read_text()
    # What was cached before, and is not now, says which of its inputs changed.
    project.write(os.urandom(8).hex(), "f").ok("build", "--progress", "quiet")
    told = json.loads(project.ok("log", "--timeline", "--compare", "previous", "--format", "json"))
    (copied,) = {(one["what"], one["name"], one["why"]) for one in told["compared"]["changes"]}
    why = "the files that it copies changed; of the context changed: file f"
    # The summary is in the context, too, and not copied.
    assert copied == ("again", "COPY f /", why)
    # A registry that does not answer is said, once for what it was asked about, and fails.
    project.write(TOML.format(tag=tag.replace(registry, "localhost:1")))
    docker("tag", tag, tag.replace(registry, "localhost:1"))
    result = project.invoke("log", "--diff-published")
    assert result.returncode == 1
    assert result.stdout.count("not known") == 2
    assert result.stderr.count("Connection refused") == 1
    docker("rmi", tag.replace(registry, "localhost:1"))
