"""The bundled sample: three ways, all their platforms, built, verified, pushed, pulled again."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Project

from buildx_tasks.engine.engine import Engine
from buildx_tasks.images.store import stored
from buildx_tasks.machine.commands import Commands

from .conftest import ROOT, docker

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = [
    *(f"hello-emulated@linux/{arch}" for arch in ("arm64", "amd64")),
    *(f"hello-cross@linux/{arch}" for arch in ("amd64", "arm64", "arm/v7", "riscv64")),
    *(f"hello-prebuilt@linux/{arch}" for arch in ("amd64", "arm64", "arm/v7", "riscv64")),
    *(f"hello-files@linux/{arch}" for arch in ("amd64", "arm64", "arm/v7", "riscv64")),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("sample")
    shutil.copytree(ROOT / "go-sample", folder / "go-sample", ignore=shutil.ignore_patterns("dist"))
    text = (ROOT / "buildx.toml").read_text()
    text = text.replace("localhost:5000", registry).replace("hello-builder", "bt-sample")
    project = Project(folder).write(text)
    project.ok("setup")
    project.ok("build", "--progress", "plain")
    yield project
    project.ok("clean")


def manifests(reference: str) -> dict[str, str]:
    index = json.loads(docker("buildx", "imagetools", "inspect", "--raw", reference))
    return {
        "/".join(filter(None, map(entry["platform"].get, ("os", "architecture", "variant")))): (
            entry["digest"]
        )
        for entry in index["manifests"]
        if entry["platform"]["os"] != "unknown"
    }


def test_build_says_target_platforms_digest_and_seconds(sample: Project) -> None:
    lines = sample.ok("build", "-t", "hello-cross", "--progress", "quiet").splitlines()
    assert lines[0].split("  ")[0] == "target"
    platforms = "linux/amd64, linux/arm64, linux/arm/v7, linux/riscv64"
    tag = json.loads(sample.ok("plan", "-t", "hello-cross", "--format", "json"))["targets"][0][
        "tags"
    ][0]
    digest = docker("image", "inspect", "--format", "{{.Id}}", tag)
    assert lines[1].startswith("hello-cross")
    assert platforms in lines[1]
    assert digest in lines[1]
    assert float(lines[1].split()[-1]) > 0


def test_its_emulated_compile_is_first_in_its_own_ranking(sample: Project) -> None:
    records = sorted(path.stem for path in (sample.folder / ".buildx" / "builds").glob("*.jsonl"))
    told = json.loads(
        sample.ok("log", "--timeline", "--build", records[0], "--format", "json", "--number", "0")
    )
    (arm64,) = [cell for cell in told["cells"] if cell["id"] == "hello-emulated@linux/arm64"]
    assert arm64["emulated"]
    assert arm64["instructions"] >= 4
    if arm64["emulated_seconds"] == 0:
        assert arm64["cached"]  # this engine has compiled it before
        return
    first = told["ranking"][0]
    assert (first["cells"], first["kind"]) == (["hello-emulated@linux/arm64"], "emulated")
    assert (first["dockerfile"], first["line"]) == ("go-sample/Dockerfile", 5)
    assert "EmulatedCompile" in first["lint"]
    assert first["seconds"] > first["native_seconds"]
    assert told["emulated_share"] > 0.1


def test_verify_proves_all_ways_on_all_platforms(sample: Project) -> None:
    *lines, summary = sample.ok("verify").splitlines()[1:]
    rows = [line.replace(" (index)", "").split() for line in lines]
    assert summary == f"{len(rows)} of {len(rows)} ok"
    assert [row[0] for row in rows if "@" in row[0]] == CELLS
    assert sum("@" not in row[0] for row in rows) == 4
    assert {row[1] for row in rows} == {"ok"}


def test_run_says_hello_from_arm64(sample: Project) -> None:
    result = sample.invoke("run", "-t", "hello-cross", "-p", "linux/arm64")
    assert (result.returncode, result.stdout) == (0, "Hello, linux/arm64!\n")


def test_prebuilt_binaries_are_exported_and_of_their_architecture(sample: Project) -> None:
    # e_machine, bytes 18 and 19 of an ELF file. Source: the ELF specification and its supplements.
    machines = {"amd64": 62, "arm64": 183, "arm": 40, "riscv64": 243}
    for architecture, machine in machines.items():
        header = (sample.folder / "go-sample" / "dist" / f"hello.{architecture}").read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == machine


def test_prebuilt_builds_from_the_exported_files_alone(sample: Project, name: str) -> None:
    argv = ["buildx", "build", "--platform", "linux/arm/v7", "--tag", f"{name}:v1"]
    docker(
        *argv,
        "--file",
        f"{sample.folder}/go-sample/Dockerfile.prebuilt",
        f"{sample.folder}/go-sample",
    )
    assert (
        docker("run", "--rm", "--platform", "linux/arm/v7", f"{name}:v1") == "Hello, linux/arm/v7!"
    )


def test_prebuilt_fails_on_an_unknown_platform(sample: Project) -> None:
    text = (sample.folder / "buildx.toml").read_text()
    other = Path(sample.folder / "other")
    other.mkdir()
    shutil.copytree(sample.folder / "go-sample", other / "go-sample")
    prebuilt = text[text.index("[target.hello-prebuilt]") :]
    project = Project(other).write(
        text.replace(prebuilt, prebuilt.replace('"linux/riscv64"', '"linux/amd64/v2"'))
    )
    result = project.invoke(
        "build", "-t", "hello-prebuilt", "-p", "linux/amd64/v2", "--progress", "plain"
    )
    assert result.returncode == 1
    assert "no prebuilt binary for linux/amd64/v2" in result.stderr
    assert "error: the build failed: hello-prebuilt@linux/amd64/v2" in result.stderr


def test_push_publishes_what_is_stored_and_reads_it_back(sample: Project, registry: str) -> None:
    printed = sample.ok("push", "--verbose")
    tag = f"{registry}/hello-cross:v0.0.1"
    built = docker("image", "inspect", "--format", "{{.Id}}", tag)
    assert f"{tag}@{built}" in printed
    served = urllib.request.Request(
        f"http://{registry}/v2/hello-cross/manifests/v0.0.1", method="HEAD"
    )
    served.add_header("Accept", "application/vnd.oci.image.index.v1+json")
    with urllib.request.urlopen(served) as answer:
        assert answer.headers["Docker-Content-Digest"] == built
    pushed = manifests(tag)
    assert list(pushed) == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]
    for platform, digest in pushed.items():
        assert f"  {platform:<15} {digest}" in printed


def test_another_machine_pulls_only_its_own_platform(
    sample: Project, registry: str, fresh_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.ok("push", "-t", "hello-cross")
    tag = f"{registry}/hello-cross:v0.0.1"
    pushed = manifests(tag)
    monkeypatch.setenv("DOCKER_HOST", fresh_engine)
    docker("pull", "--quiet", "--platform", "linux/arm64", tag)
    with contextlib.closing(Engine(Commands(Path()))) as asked:
        pulled = stored(asked, tag)
    assert pulled is not None
    assert {str(platform): digest for platform, digest in pulled.manifests.items()} == {
        "linux/arm64": pushed["linux/arm64"]
    }
    argv = ["run", "--rm", "--pull", "never", "--network", "none"]
    assert docker(*argv, "--platform", "linux/arm64", tag) == "Hello, linux/arm64!"

    # What lacks platforms must not replace the whole image in the registry.
    result = sample.invoke("push", "-t", "hello-cross")
    assert result.returncode == 1
    assert "lacks linux/amd64, linux/arm/v7, linux/riscv64" in result.stderr


def test_the_second_setup_changes_nothing_and_says_so(sample: Project) -> None:
    assert sample.ok("setup") == "ready: nothing to change\n"


def test_doctor_finds_everything_ok(sample: Project) -> None:
    rows = sample.ok("doctor").splitlines()[1:]
    assert {row.split()[0] for row in rows} == {"ok"}
    subjects = " ".join(rows)
    for subject in ("engine", "buildx", "image store", "builder bt-sample", "platform linux/arm64"):
        assert subject in subjects
