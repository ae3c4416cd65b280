"""An image for Windows beside one for Linux: built, looked into, pushed and joined, and not run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from typing import TYPE_CHECKING, Any

from support import pes

if TYPE_CHECKING:
    from conftest import Project

VERSION = "10.0.17763.5329"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TOML = """
[target.app]
platforms = ["windows/amd64", "linux/amd64"]
tags = ["{registry}/{name}:v1"]
platform."linux/amd64" = {{ dockerfile-inline = "FROM alpine:3.22" }}
dockerfile-inline = '''
FROM {registry}/{name}-base:1
COPY hello.exe /app/hello.exe
USER ContainerUser
CMD ["/app/hello.exe"]
{more}
'''
[target.app.verify]
run = {{ args = ["true"] }}
binaries = {{}}
index = {{}}
[[target.app.verify.check]]
name = "of windows"
only = ["windows/amd64"]
config = {{ user = "ContainerUser", nonroot = true }}
files = {{ "/app/hello.exe" = {{ type = "file" }}, "/Windows/System32/kernel32.dll" = {{}} }}
[ci]
staging = "{registry}/{name}-staging"
"""


def base(registry: str, name: str) -> None:
    """Put what Microsoft's base images look like into the registry."""

    def put(path: str, data: bytes, kind: str) -> None:
        request = urllib.request.Request(path, data=data, method="PUT")
        request.add_header("Content-Type", kind)
        urllib.request.urlopen(request).close()

    def blob(data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = urllib.request.Request(f"{place}/blobs/uploads/", method="POST")
        with urllib.request.urlopen(begun) as answer:
            location = answer.headers["Location"]
        put(f"{location}&digest={digest}", data, "application/octet-stream")
        return {"digest": digest, "size": len(data)}

    place = f"http://{registry}/v2/{name}-base"
    files = {"Files/Windows/System32/kernel32.dll": pes.pe(dll=True), "Hives/System_Base": b"regf"}
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    plain = held.getvalue()
    of_windows = {"architecture": "amd64", "os": "windows", "os.version": VERSION}
    diff = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    config = {**of_windows, "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        **blob(gzip.compress(plain)),
    }
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        **blob(json.dumps(config).encode()),
    }
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [layer]}
    manifest = json.dumps(whole).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    put(f"{place}/manifests/{digest}", manifest, MANIFEST)
    entry = {"mediaType": MANIFEST, "digest": digest, "size": len(manifest), "platform": of_windows}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    put(f"{place}/manifests/1", index, INDEX)


def versions(registry: str, name: str) -> list[str]:
    """Return the versions of Windows that the published index says."""
    request = urllib.request.Request(f"http://{registry}/v2/{name}/manifests/v1")
    request.add_header("Accept", INDEX)
    with urllib.request.urlopen(request) as answer:
        listed = json.load(answer)["manifests"]
    return [one["platform"].get("os.version", "") for one in listed if "annotations" not in one]


def test_windows_beside_linux(project: Project, name: str, registry: str) -> None:
    base(registry, name)
    (project.folder / "hello.exe").write_bytes(pes.pe())
    declared = TOML.format(registry=registry, name=name, more="")
    project.write(declared)
    assert "app@windows/amd64" in project.ok("plan")
    project.ok("build", "--progress", "quiet")
    said = project.ok("verify", "--json", "all.json", "--full")
    assert "run: skipped (windows/amd64 is not run here)" in said
    cells = json.loads((project.folder / "all.json").read_text())["results"]
    checks = {check["name"]: check for check in cells[0]["checks"]}
    assert checks["binaries"]["facts"] == ["2 programs and libraries for windows/amd64"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "run": "skip",
        "binaries": "ok",
        "of windows: config": "ok",
        "of windows: files": "ok",
    }
    project.ok("push")
    assert versions(registry, name) == [VERSION, ""]
    assert VERSION in project.ok("inspect", "--published")
    assert "is not run here" in project.ok("verify", "--published")
    for argv in (["part", "--id", "r1"], ["join", "--id", "r1"]):
        result = project.invoke(*argv)
        assert result.returncode == 0, result.stderr
        assert "passed, not run" in result.stdout + result.stderr
    assert versions(registry, name) == [VERSION, ""]
    result = project.invoke("run", "-p", "windows/amd64")
    assert (result.returncode, "is not run here" in result.stderr) == (2, True)

    (project.folder / "hello.exe").write_bytes(pes.pe(0xAA64))
    project.ok("build", "--progress", "quiet")
    result = project.invoke("verify", "-p", "windows/amd64", "--json", "2.json")
    assert result.returncode == 1
    cells = json.loads((project.folder / "2.json").read_text())["results"]
    problems = [text for check in cells[0]["checks"] for text in check["problems"]]
    wrong = "/app/hello.exe is a program for windows/arm64, expected windows/amd64; "
    assert [problem.startswith(wrong) for problem in problems] == [True]

    project.write(TOML.format(registry=registry, name=name, more="RUN echo hi"))
    result = project.invoke("build")
    assert result.returncode == 1
    assert "app@windows/amd64 cannot be built" in result.stderr
    assert "nothing here runs programs of windows/amd64" in result.stderr
