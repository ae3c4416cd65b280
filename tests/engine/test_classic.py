"""A declared builder, and an engine with the classic image store: built platform by platform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from buildx_tasks.machine.executables import binary
from buildx_tasks.platforms import parse
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.registry.referrers import tag_of

from .conftest import docker, in_registry, second_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Project

# app is built on base, and one stage on base as it is on the building machine.
TOML = """
[builder]
name = "{name}"
driver = "docker"

[target.base]
dockerfile-inline = '''
FROM scratch
ARG TARGETARCH
LABEL arch=$TARGETARCH
COPY program.$TARGETARCH /program
'''
platforms = ["linux/amd64", "linux/arm64"]

[target.app]
dockerfile-inline = '''
FROM --platform=$BUILDPLATFORM base AS native
FROM base
ARG REVISION=1
ENV REVISION=$REVISION
COPY --from=native /program /native
CMD ["/program"]
'''
contexts = {{ base = "target:base" }}
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{repository}:v1"]

[target.app.verify]
run.exit-code = 0
binaries = {{ paths = ["/program"] }}
config.cmd = ["/program"]
size.unpacked = "1 MB"
index = {{}}

[target.app.push]
verdicts = true

[group.default]
targets = ["app"]
"""


class Classic(NamedTuple):
    """A project on an engine with the classic store; its image is ``repository:v1``."""

    project: Project
    repository: str
    env: dict[str, str]

    def entries(self) -> list[dict[str, Any]]:
        """The ledger."""
        return Ledger(self.project.folder).read()

    def built(self) -> dict[str, Any]:
        """The last entry of the ledger about what was built."""
        return [entry for entry in self.entries() if entry["event"] == "built"][-1]

    def docker(self, *args: str) -> str:
        return docker(*args, DOCKER_HOST=self.env["DOCKER_HOST"])


@pytest.fixture
def classic(project: Project, tmp_path: Path, registry: str, name: str) -> Iterator[Classic]:
    for arch in ("amd64", "arm64"):
        program = binary(parse(arch))
        assert program
        (project.folder / f"program.{arch}").write_bytes(program)
        (project.folder / f"program.{arch}").chmod(0o755)
    repository = f"{registry}/{name}"
    project.write(TOML.format(name=name, repository=repository))
    with second_engine(tmp_path / "log", containerd=False) as engine:
        env = {"DOCKER_HOST": engine.host}
        project.ok("setup", env=env)
        yield Classic(project, repository, env)


def check_pushed(classic: Classic, ids: dict[str, str]) -> None:
    """Each platform's config is the one that was verified, in the registry and where it is pulled."""
    project, env = classic.project, classic.env
    printed = project.ok("push", "--verbose", env=env).splitlines()
    found = in_registry(f"{classic.repository}:v1")
    assert found
    assert f"{classic.repository}:v1@{found[0]}" in printed
    for entry in found[1]["manifests"]:
        platform = f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        assert f"  {platform:<15} {entry['digest']}" in printed
        manifest = in_registry(f"{classic.repository}@{entry['digest']}")
        assert manifest
        assert manifest[0] == entry["digest"]
        assert manifest[1]["config"]["digest"] == ids[platform]
        # Its verdict is of what the registry has, not of the store's config.
        beside = in_registry(f"{classic.repository}:{tag_of(entry['digest'])}")
        assert beside
        (attached,) = beside[1]["manifests"]
        verdict = in_registry(f"{classic.repository}@{attached['digest']}")
        assert verdict
        assert verdict[1]["subject"]["digest"] == entry["digest"]
        exact = f"{classic.repository}@{entry['digest']}"
        docker("pull", "--quiet", "--platform", platform, exact)
        shown = docker("image", "inspect", "--platform", platform, "--format", "{{.Id}}", exact)
        assert shown == entry["digest"]
    assert len(found[1]["manifests"]) == 2
    (entry,) = [e for e in classic.entries() if e["event"] == "pushed"]
    assert (entry["way"], entry["verified"]) == ("platform by platform", "passed")
    # Nothing changed: the same index again.
    again = project.ok("push", "--verbose", env=env).splitlines()
    assert again == [*printed[:-1], "1 tag was there already"]


def test_a_classic_store_gets_platform_by_platform(classic: Classic) -> None:
    project, env = classic.project, classic.env
    result = project.invoke("build", "--progress", "plain", env=env)
    assert result.returncode == 0, result.stderr
    said = "the engine's image store is the classic one: built platform by platform"
    assert said in result.stderr.splitlines()
    ids = {
        f"linux/{arch}": classic.docker(
            "image",
            "inspect",
            f"{classic.repository}:staging-app-linux-{arch}",
            "--format",
            '{{if eq .Architecture (index .Config.Labels "arch")}}{{.Id}}{{end}}',
        )
        for arch in ("amd64", "arm64")
    }
    assert classic.built()["parts"] == ids
    assert classic.built()["digest"] == ""
    assert all(ids.values())

    planned = json.loads(project.ok("plan", "--format", "json", env=env))["targets"]
    assert [target["push"] for target in planned] == ["platform by platform"]
    assert "platform by platform" in project.ok("plan", env=env)
    nowhere = {"DOCKER_HOST": f"unix://{project.folder}/nothing.sock"}
    assert "unknown: no engine answers" in project.ok("plan", env=nowhere)

    project.ok("run", env=env)
    lines = project.ok("verify", env=env).replace("app (index)", "app").splitlines()[1:]
    rows = [line.split()[:2] for line in lines[:-1]]
    assert rows == [["app@linux/amd64", "ok"], ["app@linux/arm64", "ok"], ["app", "ok"]]
    assert lines[-1] == "3 of 3 ok"
    known = project.ok("verify", env=env).splitlines()[1:-1]
    assert all("known" in line for line in known), known

    # What a rebuild changes is verified again; the store is asked first, so bake runs once.
    text = (project.folder / "buildx.toml").read_text()
    project.write(text.replace("REVISION=1", "REVISION=2"))
    result = project.invoke("build", "--progress", "plain", env=env)
    assert result.returncode == 0, result.stderr
    assert "ERROR" not in result.stderr
    again = classic.built()["parts"]
    assert again.keys() == ids.keys()
    assert not set(again.values()) & set(ids.values())
    assert "known" not in project.ok("verify", env=env)

    check_pushed(classic, again)

    # A tag that somebody moved is not what was built.
    tag = f"{classic.repository}:staging-app-linux-arm64"
    classic.docker("tag", ids["linux/arm64"], tag)
    result = project.invoke("run", "-p", "linux/amd64", env=env)
    assert f"{classic.repository}:v1 is not built; run invoke build -t app" in result.stderr

    project.ok("build", "-p", "linux/arm64", "--progress", "plain", env=env)
    assert "parts" not in classic.built()
    assert classic.docker(
        "image", "inspect", f"{classic.repository}:v1-part-linux-arm64", "--format", "{{.Id}}"
    )
    project.ok("run", "-p", "linux/arm64", env=env)
