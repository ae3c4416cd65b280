"""One image from a different build for each platform, and files that differ by platform: for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]

OVERRIDES = """
[target.NAME]
context = "plain"
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]
tags = ["REGISTRY/NAME:v1"]
args = { WHO = "all" }
labels = { team = "x", kind = "plain" }
annotations = ["index:all=yes", "manifest:each=yes"]
attest = ["type=provenance,mode=max"]

[target.NAME.platform."linux/arm64"]
dockerfile = "Dockerfile.arm64"
args = { WHO = "arm64" }
labels = { kind = "arm64" }
annotations = ["only=arm64"]

[target.NAME.platform."linux/arm/v7"]
context = "other"
contexts = { extra = "extra" }
target = "small"

[target.NAME.platform."linux/riscv64"]
dockerfile-inline = '''
FROM alpine:3.22
ARG WHO
ENV FROM_INLINE=$WHO
USER 1234
CMD ["sh", "-c", "echo inline $FROM_INLINE $(id -u)"]
'''

[target.NAME.verify.run]
args = []
"""
PLAIN = """
FROM alpine:3.22
ARG WHO
ENV WHO=$WHO
WORKDIR /plain
CMD ["sh", "-c", "echo plain $WHO $PWD"]
"""
SAYS = {
    "linux/amd64": "plain all /plain",
    "linux/arm64": "second arm64",
    "linux/arm/v7": "other extra",
    "linux/riscv64": "inline all 1234",
}


@pytest.fixture
def image(project: Project, name: str, registry: str) -> str:
    files = {
        "plain/Dockerfile": PLAIN,
        "plain/Dockerfile.arm64": (
            'FROM alpine:3.22\nARG WHO\nENV SECOND=$WHO\nENTRYPOINT ["echo", "second"]\nCMD ["arm64"]\n'
        ),
        "other/Dockerfile": (
            "FROM alpine:3.22 AS small\nCOPY --from=extra /word /word\n"
            'CMD ["sh", "-c", "echo other $(cat /word)"]\nFROM small\nRUN false\n'
        ),
        "extra/word": "extra",
    }
    for path, text in files.items():
        (project.folder / path).parent.mkdir(exist_ok=True)
        (project.folder / path).write_text(text)
    project.write(OVERRIDES.replace("NAME", name).replace("REGISTRY", registry))
    project.ok("build", "--progress", "plain")
    return f"{registry}/{name}:v1"


def raw(reference: str) -> Any:
    return json.loads(docker("buildx", "imagetools", "inspect", "--raw", reference))


def test_four_platforms_four_builds_one_index(project: Project, name: str, image: str) -> None:
    for platform, words in SAYS.items():
        result = project.invoke("run", "-p", platform)
        assert (result.returncode, result.stdout.strip()) == (0, words), platform
    project.ok("push")
    index = raw(image)
    assert index["annotations"] == {"all": "yes"}
    repository = image.rpartition(":")[0]
    images, attested = {}, {}
    for entry in index["manifests"]:
        described = entry.get("annotations", {}).get("vnd.docker.reference.digest")
        if described:
            attested[described] = raw(f"{repository}@{entry['digest']}")
        else:
            parts = map(entry["platform"].get, ("os", "architecture", "variant"))
            images["/".join(filter(None, parts))] = entry["digest"]
    assert list(images) == PLATFORMS
    # Each platform's image has its own statement of where it comes from.
    assert attested.keys() == set(images.values())
    for platform, digest in images.items():
        statements = [
            layer["annotations"]["in-toto.io/predicate-type"]
            for layer in attested[digest]["layers"]
        ]
        assert statements == ["https://slsa.dev/provenance/v0.2"]
        manifest = raw(f"{repository}@{digest}")
        own = {"only": "arm64"} if platform == "linux/arm64" else {}
        assert len(manifest["annotations"].pop("dev.buildx-tasks.fingerprint")) == 64
        assert manifest["annotations"] == {"each": "yes", **own}
        told = docker("buildx", "imagetools", "inspect", image, "--format", "{{json .Image}}")
        kind = "arm64" if platform == "linux/arm64" else "plain"
        labels = json.loads(told)[platform]["config"]["Labels"]
        assert (labels["team"], labels["kind"]) == ("x", kind), platform
    assert name in image


def test_the_plan_shows_helpers_as_what_they_are(project: Project, name: str, image: str) -> None:
    shown = project.ok("plan")
    assert f"{name} for linux-arm64" in shown
    assert f"{image}" in shown
    definition = json.loads(project.ok("plan", "--format", "bake"))
    helpers = {key: t for key, t in definition["target"].items() if "--" in key}
    assert helpers.keys() == {f"{name}--linux-{p}" for p in ("amd64", "arm64", "arm-v7", "riscv64")}
    assert not any("tags" in helper for helper in helpers.values())
    result = project.invoke("build", "-t", f"{name}--linux-arm64")
    assert (result.returncode, "unknown target" in result.stderr) == (2, True)


def test_one_platform_builds_only_its_helper(project: Project, name: str, image: str) -> None:
    definition = json.loads(project.ok("plan", "--format", "bake", "-p", "linux/arm64"))
    assert definition["target"].keys() == {name, f"{name}--linux-arm64"}
    project.ok("build", "-p", "linux/arm64", "--progress", "quiet")
    assert project.invoke("run", "-p", "linux/arm64").stdout.strip() == "second arm64"
    assert image


def test_only_the_platform_s_own_file_is_sent(project: Project, name: str, registry: str) -> None:
    (project.folder / "dist").mkdir()
    (project.folder / ".dockerignore").write_text("dist\n")
    for arch in ("amd64", "arm64"):
        (project.folder / "dist" / f"data.{arch}").write_bytes(b"\0" * 5_000_000 + arch.encode())
    (project.folder / "Dockerfile").write_text(
        'FROM alpine:3.22\nCOPY --from=files /data /data\nCMD ["tail", "-c", "5", "/data"]\n'
    )
    project.write(
        f'[target.{name}]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
        f'tags = ["{registry}/{name}:v1"]\n[target.{name}.files]\n'
        '"linux/amd64" = "dist/data.amd64"\n"linux/arm64" = "dist/data.arm64"\n'
    )
    result = project.invoke("build", "-p", "linux/arm64", "--progress", "plain")
    assert result.returncode == 0, result.stderr
    sent = [line for line in result.stderr.splitlines() if "transferring folder0: 5.00MB" in line]
    assert sent, result.stderr
    assert "10.00MB" not in result.stderr
    assert project.invoke("run", "-p", "linux/arm64").stdout == "arm64"
    project.ok("build", "--progress", "quiet")
    assert project.invoke("run", "-p", "linux/amd64").stdout.lstrip("\0") == "amd64"
    (project.folder / "dist" / "data.arm64").unlink()
    result = project.invoke("build")
    assert result.returncode == 2
    assert "dist/data.arm64 is not there; make it first" in result.stderr
