"""Inspect: what is shown, from the engine's store and from a registry, is what is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
'''


def test_digests_shown_are_those_that_the_registry_serves(
    project: Project, registry: str, name: str
) -> None:
    project.write(TOML.format(registry=registry, name=name))
    first, second = f"{registry}/{name}:v1", f"{registry}/more/{name}:v2"
    project.ok("build", "--progress", "quiet")
    kept = project.ok("inspect")
    kept_json = json.loads(project.ok("inspect", "--format", "json"))

    # Built, and not published yet.
    result = project.invoke("inspect", "--published")
    assert result.returncode == 1
    assert result.stdout.splitlines() == [f"{first}  not there", f"{second}  not there"]
    assert f"not in the registry: {first}, {second}; run invoke push" in result.stderr

    docker("push", "--quiet", first)
    found = in_registry(first)
    assert found
    digest, index = found
    result = project.invoke("inspect", "--published")
    assert result.returncode == 1
    assert result.stdout == f"{kept}{second}  not there\n"
    exact = f"{registry}/{name}@{digest}"
    absent = {"DOCKER_HOST": "unix:///nothing.sock"}
    result = project.invoke("inspect", "--ref", first, "--ref", exact, env=absent)
    assert result.returncode == 0, result.stderr
    head = kept.splitlines()[0].replace(first, exact)
    assert result.stdout == f"{kept}{head}, as above\n"
    asked = project.ok("inspect", "--ref", first, "--format", "json")
    assert json.loads(asked) == kept_json

    assert head.startswith(f"{exact}  index {digest}  2 platforms, ")
    assert "unknown" not in kept + asked
    (said,) = kept_json
    assert (said["reference"], said["digest"]) == (first, digest)
    assert said["mediaType"] == index["mediaType"]
    assert [one["platform"] for one in said["platforms"]] == ["linux/amd64", "linux/arm64"]
    assert said["attestations"] == []
    for number, platform in enumerate(said["platforms"]):
        entry, attesting = index["manifests"][number], index["manifests"][number + 2]
        assert platform["digest"] == entry["digest"]
        served = _layers(f"{registry}/{name}@{entry['digest']}")
        layers = {one["digest"]: one["size"] for one in platform["layers"]}
        assert layers == {one["digest"]: one["size"] for one in served}
        assert platform["size"] == sum(layers.values())
        assert platform["layers"][-1]["instruction"] == "COPY buildx.toml /"
        (attestation,) = platform["attestations"]
        assert attestation["digest"] == attesting["digest"]
        statements = _layers(f"{registry}/{name}@{attesting['digest']}")
        assert attestation["size"] == sum(one["size"] for one in statements)
        (predicate,) = attestation["predicates"]
        assert predicate.startswith("https://slsa.dev/provenance/")
        assert f"  {platform['platform']}  {platform['digest']}  " in kept
        assert f"    attestation {attestation['digest']}  " in kept
        assert f"  provenance {predicate}\n" in kept


def _layers(reference: str) -> list[dict[str, Any]]:
    found = in_registry(reference)
    assert found
    layers: list[dict[str, Any]] = found[1]["layers"]
    return layers


def test_an_image_without_index_and_names_that_are_wrong(
    project: Project, registry: str, name: str
) -> None:
    text = TOML.format(registry=registry, name=name)
    project.write(text.replace(', "linux/arm64"', "").replace("max", "max,disabled=true"))
    result = project.invoke("inspect")
    assert result.returncode == 1
    assert f"{registry}/{name}:v1 is not built; run invoke build -t app" in result.stderr
    project.ok("build", "--progress", "quiet")
    (image,) = json.loads(project.ok("inspect", "--format", "json"))
    (platform,) = image["platforms"]
    assert (platform["platform"], platform["digest"]) == ("linux/amd64", image["digest"])
    assert f"  manifest without index {image['digest']}  1 platform, " in project.ok("inspect")

    wrong = f"{registry}/{name}:gone"
    result = project.invoke("inspect", "--ref", wrong)
    assert (result.returncode, result.stdout) == (1, f"{wrong}  not there\n")
    assert f"not in the registry: {wrong}; check the name" in result.stderr
    result = project.invoke("inspect", "--ref", wrong, "--published")
    assert result.returncode == 2
    assert "leave out --target and --published" in result.stderr
