"""Inspect: what is shown, from the engine's store and from a registry, is what is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from buildx_tasks.records.ledger import Ledger

from .conftest import docker, in_registry

if TYPE_CHECKING:
    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
COPY buildx.toml /
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1", "{registry}/more/{name}:v2"]
attest = ["type=provenance,mode=max"]
[target.bare]
inherits = ["app"]
platforms = ["linux/arm64"]
tags = ["{registry}/{name}:bare"]
attest = ["type=provenance,disabled=true"]
'''


def test_digests_shown_are_those_that_the_registry_serves(
    project: Project, registry: str, name: str
) -> None:
    project.write(TOML.format(registry=registry, name=name))
    repository = f"{registry}/{name}"
    tag, other = f"{repository}:v1", f"{registry}/more/{name}:v2"
    project.ok("build", "--progress", "quiet")
    tree = project.ok("inspect")
    said, bare = json.loads(project.ok("inspect", "--format", "json"))
    kept, mark, rest = tree.partition(f"{repository}:bare")

    # Without attestation and second platform, buildx makes no index.
    assert f"{mark}{rest}".startswith(
        f"{repository}:bare  manifest without index {bare['digest']}  1 platform, "
    )
    (platform,) = bare["platforms"]
    assert (platform["platform"], platform["digest"]) == ("linux/arm64", bare["digest"])

    docker("push", "--quiet", tag)
    found = in_registry(tag)
    assert found
    digest, index = found
    result = project.invoke("inspect", "--published", "-t", "app")
    assert (result.returncode, result.stdout) == (1, f"{kept}{other}  not there\n")
    assert f"not in the registry: {other}; run invoke push" in result.stderr
    exact = f"{repository}@{digest}"
    asked = ["inspect", "--ref", tag, "--ref", exact, "--format", "json"]
    printed = project.ok(*asked, env={"DOCKER_HOST": "unix:///nothing.sock"})
    assert json.loads(printed) == [said, {**said, "reference": exact}]
    (project.folder / "buildx.toml").rename(project.folder / "kept.toml")  # which it does not need
    assert project.ok(*asked, env={"DOCKER_HOST": "unix:///nothing.sock"}) == printed
    (project.folder / "kept.toml").rename(project.folder / "buildx.toml")
    # What other builders made waits in the registry, and is read there.
    (built,) = [e for e in Ledger(project.folder).read() if e.get("target") == "app"]
    Ledger(project.folder).record("built", [{**built, "staged": exact}])
    assert project.ok("inspect", "-t", "app") == kept.replace(tag, exact)

    assert kept.startswith(f"{tag}  index {digest}  2 platforms, ")
    assert "unknown" not in tree + printed
    assert (said["reference"], said["digest"]) == (tag, digest)
    assert said["mediaType"] == index["mediaType"]
    assert [one["platform"] for one in said["platforms"]] == ["linux/amd64", "linux/arm64"]
    assert said["attestations"] == []
    for number, platform in enumerate(said["platforms"]):
        entry, attesting = index["manifests"][number], index["manifests"][number + 2]
        assert platform["digest"] == entry["digest"]
        layers = {one["digest"]: one["size"] for one in platform["layers"]}
        assert layers == _layers(f"{repository}@{entry['digest']}")
        assert platform["size"] == sum(layers.values())
        assert platform["layers"][-1]["instruction"] == "COPY buildx.toml /"
        (attestation,) = platform["attestations"]
        assert attestation["digest"] == attesting["digest"]
        statements = _layers(f"{repository}@{attesting['digest']}")
        assert attestation["size"] == sum(statements.values())
        (predicate,) = attestation["predicates"]
        assert predicate.startswith("https://slsa.dev/provenance/")
        assert f"  {platform['platform']}  {platform['digest']}  " in kept
        assert f"    attestation {attestation['digest']}  " in kept
        assert f"  provenance {predicate}\n" in kept


def _layers(reference: str) -> dict[str, Any]:
    found = in_registry(reference)
    assert found
    return {one["digest"]: one["size"] for one in found[1]["layers"]}
