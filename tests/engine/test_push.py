"""Push and promote: digest equality from the engine to the registry to another engine."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.engine.engine import Engine
from buildx_tasks.images.store import stored
from buildx_tasks.machine.commands import Commands
from buildx_tasks.records.ledger import Ledger

from .conftest import cannot_run, docker, in_registry

if TYPE_CHECKING:
    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
ARG TARGETPLATFORM WORD
ENV PLATFORM=$TARGETPLATFORM WORD=$WORD
CMD echo "Hello, $PLATFORM!"
"""
args.WORD = "{word}"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1", "{registry}/more/{name}:latest"]
verify.run.stdout = "{greeting}"
'''
GREETING = "Hello, {platform}!"


def write(project: Project, registry: str, name: str, word: str = "a", **more: str) -> None:
    greeting = more.pop("greeting", GREETING)
    text = TOML.format(registry=registry, name=name, word=word, greeting=greeting)
    project.write(text + more.pop("push", ""))


def built(project: Project) -> str:
    project.ok("build", "--progress", "quiet")
    return str([e for e in Ledger(project.folder).read() if e["event"] == "built"][-1]["digest"])


def require(tag: str) -> tuple[str, dict[str, Any]]:
    found = in_registry(tag)
    assert found, f"{tag} is not there"
    return found


def digest_of(tag: str) -> str:
    return require(tag)[0]


def pushed(folder: Path) -> list[dict[str, Any]]:
    return [entry for entry in Ledger(folder).read() if entry["event"] == "pushed"]


def test_what_arrives_elsewhere_is_what_was_verified(
    project: Project,
    registry: str,
    name: str,
    fresh_engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(project, registry, name)
    digest = built(project)
    result = project.invoke("push")
    assert result.returncode == 0, result.stderr
    assert "verified first, for they changed or were not verified: app" in result.stderr
    tags = [f"{registry}/{name}:v1", f"{registry}/more/{name}:latest"]
    with contextlib.closing(Engine(Commands(Path()))) as asked:
        local = stored(asked, tags[0])
    assert local is not None
    assert local.digest == digest
    manifests = {str(platform): one for platform, one in local.manifests.items()}
    for tag in tags:
        assert f"{tag}@{digest}" in result.stdout
        served, index = require(tag)
        assert served == digest
        found = {
            f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"]
            for one in index["manifests"]
            if one["platform"]["os"] != "unknown"
        }
        assert found == manifests
    entries = pushed(project.folder)
    assert [entry["tag"] for entry in entries] == tags
    for entry in entries:
        assert (entry["digest"], entry["manifests"]) == (digest, manifests)
        assert (entry["verified"], entry["way"], entry["was"]) == ("passed", "image store", "")
        assert set(entry["versions"]) == {"buildx-tasks", "Docker Engine"}
    # Again: nothing is sent, nothing is verified, and the tags stay where they are.
    result = project.invoke("push")
    assert "sent" not in result.stderr
    assert "verified first" not in result.stderr
    assert pushed(project.folder)[-1]["was"] == digest

    monkeypatch.setenv("DOCKER_HOST", fresh_engine)
    docker("pull", "--quiet", "--platform", "linux/arm64", tags[1])
    with contextlib.closing(Engine(Commands(Path()))) as asked:
        pulled = stored(asked, tags[1])
    assert pulled is not None
    assert pulled.digest == digest
    assert {str(p): one for p, one in pulled.manifests.items()} == {
        "linux/arm64": manifests["linux/arm64"]
    }


def test_what_does_not_pass_is_not_pushed_unless_one_says_so(
    project: Project, registry: str, name: str
) -> None:
    write(project, registry, name, greeting="Good morning!")
    built(project)
    result = project.invoke("push")
    assert result.returncode == 1
    assert (
        "2 of 2 cells failed: app@linux/amd64, app@linux/arm64; nothing was pushed" in result.stderr
    )
    assert in_registry(f"{registry}/{name}:v1") is None
    project.ok("push", "--no-verify")
    assert [entry["verified"] for entry in pushed(project.folder)] == ["no", "no"]
    # What was known to be well, and was built anew, is verified again.
    write(project, registry, name)
    built(project)
    project.ok("push")
    project.ok("build", "--progress", "quiet", "--no-cache")
    assert (
        "verified first" not in project.invoke("push").stderr
    )  # the platforms' manifests are the same
    write(project, registry, name, word="b")
    built(project)
    assert "verified first" in project.invoke("push").stderr
    assert pushed(project.folder)[-1]["verified"] == "passed"


def test_an_immutable_tag_stays_and_nothing_else_moves(
    project: Project, registry: str, name: str
) -> None:
    write(project, registry, name, push='push.immutable = ["v*"]\n')
    first = built(project)
    project.ok("push")
    project.ok("push")  # the same digest is no other one
    write(project, registry, name, word="b", push='push.immutable = ["v*"]\n')
    second = built(project)
    assert first != second
    result = project.invoke("push")
    assert result.returncode == 1
    assert f"{registry}/{name}:v1 is immutable and holds {first}" in result.stderr
    for tag in (f"{registry}/{name}:v1", f"{registry}/more/{name}:latest"):
        assert digest_of(tag) == first
    project.ok("push", "--tag", "v2")
    assert digest_of(f"{registry}/more/{name}:v2") == second
    result = project.invoke("promote", "--from", f"{registry}/{name}:v2", "--to", "v1")
    assert result.returncode == 1
    assert f"{registry}/{name}:v1 is immutable" in result.stderr


def test_promote_copies_without_building(project: Project, registry: str, name: str) -> None:
    write(project, registry, name)
    digest = built(project)
    project.ok("push", "--tag", "rc1")
    source = f"{registry}/{name}:rc1"
    targets = ["stable", f"{registry}/{name}-other:v1"]
    printed = project.ok("promote", "--from", source, *(f"--to={tag}" for tag in targets))
    for tag in (f"{registry}/{name}:stable", targets[1]):
        assert f"{tag}@{digest}" in printed
        assert digest_of(tag) == digest
    entry = Ledger(project.folder).read()[-1]
    assert (entry["event"], entry["from"]) == ("promoted", f"{registry}/{name}@{digest}")
    dry = project.ok("--dry", "promote", "--from", source, "--to", "stable")
    assert dry == (
        "docker buildx imagetools create --prefer-index=false "
        f"--tag {registry}/{name}:stable {source}\n"
    )
    result = project.invoke("promote", "--from", f"{registry}/{name}:gone", "--to", "x")
    assert result.returncode == 1
    assert f"{registry}/{name}:gone: not found" in result.stderr


def test_a_platform_that_is_not_declared_any_more_does_not_go_out(
    project: Project, registry: str, name: str
) -> None:
    write(project, registry, name)
    built(project)
    text = (project.folder / "buildx.toml").read_text()
    project.write(text.replace(', "linux/arm64"]', "]"))
    result = project.invoke("push")
    assert result.returncode == 1
    assert "has linux/arm64 too, which is not declared, and so not verified" in result.stderr
    assert in_registry(f"{registry}/{name}:v1") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["push", "--tag", "v 1"], '"v 1" is no tag; write it as in v1.2'),
        (["promote", "--from", "UPPER", "--to", "x"], '"UPPER" is no image reference'),
        (["promote", "--from", "a@sha256:1", "--to", "x"], '"sha256:1" is no digest'),
        (["promote", "--from", "a"], "--to is missing"),
    ],
)
def test_what_is_typed_wrong_is_said(project: Project, arguments: list[str], said: str) -> None:
    write(project, "localhost:1", "none")
    result = project.invoke(*arguments)
    assert result.returncode == 2
    assert said in result.stderr


def test_attestations_go_along(project: Project, registry: str, name: str) -> None:
    # The cache of the build goes to the registry as well, as in bake.
    cache = f"type=registry,ref={registry}/{name}:cache,mode=max"
    write(
        project,
        registry,
        name,
        push=f'attest = ["type=provenance,mode=max"]\ncache-to = ["{cache}"]\n',
    )
    text = (project.folder / "buildx.toml").read_text()
    project.write(text.replace("ENV PLATFORM", "RUN echo $WORD >/word\nENV PLATFORM"))
    built(project)
    project.ok("push")
    _, index = require(f"{registry}/{name}:v1")
    kinds = [
        one.get("annotations", {}).get("vnd.docker.reference.type") for one in index["manifests"]
    ]
    assert kinds == [None, None, "attestation-manifest", "attestation-manifest"]
    for one in index["manifests"]:
        assert digest_of(f"{registry}/more/{name}@{one['digest']}") == one["digest"]
    assert digest_of(f"{registry}/{name}:cache")


def test_nothing_is_pushed_that_cannot_be_signed_as_declared(
    project: Project, registry: str, name: str
) -> None:
    if shutil.which("cosign"):
        cannot_run("cosign is on PATH: this test is about machines without it")
    write(project, registry, name, push='push.sign = "cosign.key"\n')
    built(project)
    dry = project.ok("--dry", "push").splitlines()[0]
    assert dry == "# before a tag moves: cosign sign --yes --key cosign.key REPOSITORY@DIGEST"
    result = project.invoke("push")
    assert result.returncode == 1
    assert "cosign is not on PATH; install it, or remove sign" in result.stderr
    assert in_registry(f"{registry}/{name}:v1") is None


def test_a_tag_never_loses_a_platform_that_is_not_to_go(
    project: Project, registry: str, name: str
) -> None:
    write(project, registry, name)
    first = built(project)
    project.ok("push", "--tag", "v1")
    one, other = f"{registry}/{name}:v1", f"{registry}/more/{name}:v1"
    text = (project.folder / "buildx.toml").read_text()
    alone = text.replace(', "linux/arm64"]', "]")
    project.write(alone)
    second = built(project)
    result = project.invoke("push", "--tag", "v1")
    assert result.returncode == 1
    assert f"{one} would lose linux/arm64: {first} has it, {second} does not" in result.stderr
    assert '[target.app.push] drop = ["linux/arm64"]' in result.stderr
    assert in_registry(f"{registry}/{name}@{second}") is None  # nothing was sent
    project.ok("push", "--tag", "alone")
    result = project.invoke("promote", "--from", f"{registry}/{name}:alone", "--to", "v1")
    assert result.returncode == 1
    assert f"{one} would lose linux/arm64" in result.stderr
    assert digest_of(one) == digest_of(other) == first
    project.write(f'{alone}push.drop = ["linux/arm64"]\n')
    project.ok("push", "--tag", "v1")
    assert digest_of(one) == digest_of(other) == second
    # An image without an index says its platform in its config.
    project.write(
        alone.replace("linux/amd64", "linux/arm64") + 'attest = ["type=provenance,disabled=true"]\n'
    )
    third = built(project)
    project.ok("push", "--tag", "bare")
    result = project.invoke("push", "--tag", "v1")
    assert f"{one} would lose linux/amd64: {second} has it, {third} does not" in result.stderr
    project.write(alone)
    result = project.invoke("promote", "--from", f"{registry}/{name}:alone", "--to", "bare")
    assert f"{registry}/{name}:bare would lose linux/arm64: {third} has it" in result.stderr
