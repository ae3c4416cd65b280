"""Charts and files: the same bytes for the same files, and one error for each that is none."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support import workspaces

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading
from buildx_tasks.publishing import artifacts, helm, parts

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.publishing.artifacts import Packed

TARGET = '[target.app]\ntags = ["localhost:5000/app:v1"]\n'
CHART = """
[artifact.chart]
path = "chart"
type = "helm"
tags = ["localhost:5000/charts/app"]
"""
# On any machine, with any Python.
KNOWN = "sha256:bb45934249d6cb18de7e34c7438570d9bb33ea8655d24a291d2ca28968d36a15"
YAML = """apiVersion: v2
name: app
version: 1.2.0+build.5
appVersion: 1.20
description: An application
home: https://example.com
sources: [https://example.com/git]
maintainers: [{name: me}]
unknown: left out
keywords: []
"""


def project(folder: Path, declared: str = CHART, yaml: str = YAML) -> Path:
    (folder / "chart" / "templates").mkdir(parents=True)
    (folder / "chart" / "Chart.yaml").write_text(yaml)
    (folder / "chart" / "values.yaml").write_text("a: 1\n")
    (folder / "chart" / "templates" / "x.yaml").write_text("{}\n")
    (folder / "buildx.toml").write_text(TARGET + declared)
    return folder


def packed(folder: Path) -> list[Packed]:
    with closing(workspaces.declared(folder)) as workspace:
        return artifacts.chosen(workspace, ()).packed


def files_of(one: Packed) -> dict[str, str]:
    (layer,) = (part for part in one.parts if part.media_type == helm.CONTENT)
    data = b"".join(layer.opened())
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        members = archive.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0, 0o644)}
        return {m.name: archive.extractfile(m).read().decode() for m in members}  # type: ignore[union-attr]


def test_a_chart_is_what_helm_makes_of_it(tmp_path: Path) -> None:
    (one,) = packed(project(tmp_path))
    assert one.what == "helm chart app 1.2.0+build.5"
    assert list(map(str, one.tags)) == ["localhost:5000/charts/app:1.2.0_build.5"]
    assert list(files_of(one)) == ["app/Chart.yaml", "app/templates/x.yaml", "app/values.yaml"]
    manifest = json.loads(one.root.data)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == [helm.CONTENT]
    assert manifest["annotations"] == {
        "org.opencontainers.image.description": "An application",
        "org.opencontainers.image.source": "https://example.com/git",
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.url": "https://example.com",
        "org.opencontainers.image.version": "1.2.0+build.5",
    }
    config = json.loads(b"".join(one.parts[0].opened()))
    assert list(config) == [
        "name", "home", "sources", "version", "description", "maintainers", "apiVersion", "appVersion",
    ]  # fmt: skip
    assert config["appVersion"] == "1.20", "not a number"


def test_the_same_files_are_the_same_digest(tmp_path: Path) -> None:
    (first,) = packed(project(tmp_path / "a"))
    other = project(tmp_path / "b")
    os.utime(other / "chart" / "values.yaml", (5, 5))
    (other / "chart" / "values.yaml").chmod(0o600)
    (second,) = packed(other)
    assert first.root.digest == second.root.digest
    assert first.root.digest == KNOWN
    (other / "chart" / "values.yaml").write_text("a: 2\n")
    assert packed(other)[0].root.digest != first.root.digest


def test_a_package_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (one,) = packed(folder)
    data = b"".join(one.parts[1].opened())
    (folder / "app.tgz").write_bytes(data)
    (folder / "app.tgz.prov").write_text("signed")
    (folder / "buildx.toml").write_text(TARGET + CHART.replace('"chart"', '"app.tgz"'))
    (again,) = packed(folder)
    assert again.parts[1].digest == one.parts[1].digest
    assert again.parts[0].digest == one.parts[0].digest
    assert again.parts[2].media_type == helm.PROVENANCE


def test_helmignore(tmp_path: Path) -> None:
    folder = project(tmp_path)
    chart = folder / "chart"
    for name in ("a.bak", "templates/b.bak", "templates/.hidden", "ci/x", "docs/y.md", "z.md"):
        (chart / name).parent.mkdir(exist_ok=True)
        (chart / name).write_text("")
    (chart / ".helmignore").write_text("# a comment\n*.bak\nci/\n/z.md\ndocs/*.txt\n")
    (one,) = packed(folder)
    assert sorted(files_of(one)) == [
        "app/.helmignore",
        "app/Chart.yaml",
        "app/docs/y.md",
        "app/templates/x.yaml",
        "app/values.yaml",
    ]


def test_a_helmignore_that_leaves_out_all(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "chart" / ".helmignore").write_text("!charts/*.tgz\n")
    with pytest.raises(ConfigError, match=r"\.helmignore leaves out Chart\.yaml: a rule with !"):
        packed(folder)


def test_any_files(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        '[artifact.docs]\npath = "docs"\ntype = "application/vnd.x"\ntags = ["localhost:5000/docs:v1"]\n'
        'media-types = { "*.md" = "text/x-mine" }\nannotations = { a = "b" }\n',
    )
    for name in ("b.json", "a.md", "in/c.bin"):
        (folder / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / name).write_text(f"[{name!r}]")
    (one,) = packed(folder)
    manifest = json.loads(one.root.data)
    assert manifest["artifactType"] == "application/vnd.x"
    assert manifest["annotations"] == {"a": "b"}
    listed = [
        (layer["annotations"]["org.opencontainers.image.title"], layer["mediaType"])
        for layer in manifest["layers"]
    ]
    assert listed == [
        ("a.md", "text/x-mine"),
        ("b.json", "application/json"),
        ("in/c.bin", "application/octet-stream"),
    ]
    assert one.what == "application/vnd.x, 3 files"
    source = parts.Parts(one.root, one.parts)
    data = b"".join(source.blob(one.parts[1].digest, one.parts[1].size))
    assert data == b"['a.md']"
    (folder / "docs" / "a.md").write_text("['b.md']")
    with pytest.raises(Exception, match=r"a\.md changed while it was pushed"):
        list(source.blob(one.parts[1].digest, one.parts[1].size))


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("", "chart/Chart.yaml:1:1: a chart says its name and version here"),
        ("name: app\nversion: 1.0.0", 'chart/Chart.yaml:1:1: it has no "apiVersion"; add it'),
        ("apiVersion: v2\nname: app", 'it has no "version"; add it'),
        (
            "apiVersion: v3\nname: app\nversion: 1.0.0",
            "chart/Chart.yaml:1:13: apiVersion is v1 or v2",
        ),
        ("apiVersion: v2\nname: a/b\nversion: 1.0.0", "chart/Chart.yaml:2:7: a chart's name has"),
        ("apiVersion: v2\nname: app\nversion: one", 'chart/Chart.yaml:3:10: "one" is no version'),
        (
            YAML + "dependencies: [{name: db, version: 1.x}]",
            "db is not in the chart's charts/; run helm",
        ),
        (
            YAML.replace("name: app", "name: other"),
            "buildx.toml:7:9: the chart is called other, and",
        ),
        (YAML.replace("sources: [https://example.com/git]", "sources: 5"), "sources is a list"),
        (YAML + "dependencies: [{name: /x}]", "a dependency has a name, of letters"),
        (": [", "chart/Chart.yaml:1:.*it is no YAML"),
    ],
)
def test_charts_that_are_none(tmp_path: Path, yaml: str, message: str) -> None:
    folder = project(tmp_path, yaml=yaml)
    with pytest.raises(ConfigError, match=message):
        packed(folder)


def test_a_dependency_that_is_there(tmp_path: Path) -> None:
    folder = project(tmp_path, yaml=YAML + "dependencies: [{name: db, version: 1.x}]")
    (folder / "chart" / "charts").mkdir()
    (folder / "chart" / "charts" / "db-1.2.tgz").write_bytes(b"")
    (one,) = packed(folder)
    assert "app/charts/db-1.2.tgz" in files_of(one)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (CHART.replace('"chart"', '"nope"'), 'buildx.toml:5:1: "nope" is not there; make it'),
        (CHART.replace('"chart"', '"../x"'), "is not in the project's folder"),
        (CHART.replace('"chart"', '"chart/templates"'), "it has no Chart.yaml, so it is no chart"),
        (CHART.replace('"chart"', '"chart/values.yaml"'), "it (is no package|holds no Chart)"),
        (CHART.replace("charts/app", "charts/other"), "the chart is called app, and Helm finds it"),
    ],
)
def test_what_is_not_there(tmp_path: Path, declared: str, message: str) -> None:
    folder = project(tmp_path, declared)
    with pytest.raises(ConfigError, match=message):
        packed(folder)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (CHART.replace("charts/app", "Charts/App"), "7:9.*no image reference"),
        (CHART.replace("charts/app", "app:{verson}"), "{verson} is no placeholder"),
        (CHART + 'media-types = { "*" = "a/b" }', "media-types is of files"),
        (CHART.replace('"helm"', '"chart"'), "type"),
        (
            CHART.replace('"helm"', '"a/b"'),
            "has no tag; write it, as in localhost:5000/charts/app:v1",
        ),
        (
            CHART + CHART.replace("chart]", "chart2]"),
            r"\[artifact.chart\] has the tag .* too; keep one",
        ),
        (CHART.replace("tags = [", "tag = ["), "tag"),
        (CHART.replace('["localhost:5000/charts/app"]', "[]"), "tags"),
    ],
)
def test_declarations_that_cannot_be(tmp_path: Path, declared: str, message: str) -> None:
    folder = project(tmp_path, declared)
    with pytest.raises(ConfigError, match=message):
        loading.load(folder / "buildx.toml", environment={})


def test_overlays_and_variables_hold(tmp_path: Path) -> None:
    folder = project(
        tmp_path, CHART.replace("localhost:5000", "${HUB}") + '[variable.HUB]\ndefault = "a.b"\n'
    )
    (folder / "buildx.test.toml").write_text("[artifact.chart]\nimmutable = ['1.*']\n")
    config = loading.load(
        folder / "buildx.toml", overlays=["test"], environment={"HUB": "hub.test"}
    )
    chart = config.artifact["chart"]
    assert (chart.tags, chart.immutable) == (["hub.test/charts/app"], ["1.*"])


def test_which_are_meant(tmp_path: Path) -> None:
    with closing(workspaces.declared(project(tmp_path))) as workspace:
        assert artifacts.chosen(workspace, ()).names == ("chart",)
        assert artifacts.chosen(workspace, ["chart", "chart"]).names == ("chart",)
        with pytest.raises(UsageError, match=r'no \[artifact.chrt\]; did you mean "chart"'):
            artifacts.chosen(workspace, ["chrt"])
        ready = artifacts.chosen(workspace, ["chart"]).packed
        assert list(artifacts.lines(ready))[1:] == [
            "helm package chart",
            "helm push app-1.2.0+build.5.tgz oci://localhost:5000/charts",
        ]
