from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import docker as sdk
import msgspec
import pytest
from support import workspaces

from buildx_tasks.building import location
from buildx_tasks.engine import content
from buildx_tasks.errors import EngineError
from buildx_tasks.language import expectations, loading
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.verification.check import Found, Subject
from buildx_tasks.verification.checks import config, index, size
from buildx_tasks.verification.containers import Session

from .conftest import docker, in_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

    from buildx_tasks.images.image import Image
    from buildx_tasks.planning.cells import TargetPlan

BOTH = ["linux/amd64", "linux/arm64"]


@contextmanager
def opened(project: Project, client: Any = None) -> Iterator[Session]:
    """A session of the project, with all that it needs."""
    with (
        closing(workspaces.declared(project.folder, client)) as workspace,
        closing(Session(workspace)) as session,
    ):
        yield session


def test_exactly_the_declared_platforms(project: Project, name: str) -> None:
    project.write("FROM scratch\nCOPY Dockerfile /\n", "Dockerfile")
    targets = {"app": "", "bare": 'attest = ["type=provenance,disabled=true"]\n'}
    text = "".join(
        _target(target, f"{name}:{target}", BOTH, more) for target, more in targets.items()
    )
    project.write(text)
    project.ok("build", "--progress", "quiet")
    with opened(project) as session:

        def found(target: str, **expected: Any) -> Found:
            plan = _plan(project, target)
            return _check(session, plan, location.require(session.engine, plan), expected)

        # buildx adds provenance by itself: that is fine, and can be refused.
        assert found("app") == Found(facts=("2 platforms, provenance on each",))
        assert found("app", sbom=False, provenance=True).problems == ()
        assert found("app", sbom=True).problems == (
            "SBOM: missing on linux/amd64, linux/arm64, against sbom = true; "
            'set attest = ["type=sbom"] and build again',
        )
        assert found("app", provenance=False).problems == (
            "provenance: there on linux/amd64, linux/arm64, against provenance = false; "
            'set attest = ["type=provenance,disabled=true"] and build again',
        )
        assert found("bare") == Found(facts=("2 platforms, no attestations",))
        assert found("bare", provenance=False).problems == ()
        assert found("bare", provenance=True).problems[0].startswith("provenance: missing on ")

        # The declaration moves away from what was built.
        project.write(text.replace(', "linux/arm64"', ', "linux/s390x"'))
        assert found("app").problems == (
            "platforms: declared, but not in the image: linux/s390x; run invoke build -t app",
            "platforms: in the image, but not declared: linux/arm64; "
            "add them to platforms, or run invoke build -t app",
        )
        # The target's own attest is what is expected by default.
        project.write(text.replace("disabled=true", "mode=max"))
        assert found("bare").problems == (
            "provenance: missing on linux/amd64, linux/arm64, against the target's attest; "
            'set attest = ["type=provenance"] and build again',
        )
        with pytest.raises(EngineError, match="lacks sha256:0000"):
            content.read(session.engine.api, f"sha256:{0:064}")


def test_what_a_registry_holds_for_us_is_looked_at_there(
    project: Project, name: str, registry: str
) -> None:
    final, tag = f"{registry}/{name}:v1", f"{registry}/{name}:staging-app"
    project.write("FROM scratch\nCOPY Dockerfile /\n", "Dockerfile")
    project.write(_target("app", final, BOTH, 'annotations = ["manifest-descriptor:k=v"]\n'))
    project.ok("build", "--progress", "quiet")
    docker("tag", final, tag)
    docker("push", "--quiet", tag)
    docker("image", "rm", tag, final)
    target = _plan(project, "app")
    held = in_registry(tag)
    assert held
    entry = {"target": "app", "tags": [final], "staged": location.by_digest(tag, held[0])}
    with opened(project) as session:
        session.workspace.ledger.record("built", [entry])
        image = location.locate(session.workspace, target, target.platforms[:1])
        assert image.repository
        assert _check(session, target, image, {}) == Found(
            facts=("2 platforms, provenance on each",)
        )
        assert (
            _check(session, target, image, {"sbom": True}).problems[0].startswith("SBOM: missing")
        )
        # Its cells are in the engine by then, annotations of descriptors in the index only.
        subject = Subject(session, target, image, target.platforms[0])
        spec = expectations.Config(annotations={"k": "v"})
        assert config.check(subject, spec) == Found()
        assert "compressed" in size.check(subject, expectations.Size()).facts[0]
        project.ok("push")
        assert list(session.workspace.ledger.read()[-1]["sizes"]) == BOTH


def test_an_sbom_is_found_by_its_predicate_type(project: Project, name: str) -> None:
    """The scanner that makes SBOMs cannot be pulled everywhere: a whole image is written by hand."""
    project.write(_target("app", f"{name}:v1", BOTH, 'attest = ["type=sbom"]\n'))
    target = _plan(project, "app")
    sbom = "https://spdx.dev/Document"
    with opened(project) as session:
        _load(f"{name}:v1", {"amd64": [sbom], "arm64": [sbom, "https://slsa.dev/provenance/v1"]})
        image = location.require(session.engine, target)
        assert _check(session, target, image, {}) == Found(
            facts=("2 platforms, SBOM on each, provenance on 1 of them",)
        )
        assert _check(session, target, image, {"sbom": False}).problems == (
            "SBOM: there on linux/amd64, linux/arm64, against sbom = false; "
            'set attest = ["type=sbom,disabled=true"] and build again',
        )
        _load(f"{name}:v1", {"amd64": [sbom], "arm64": []})
        assert _check(session, target, location.require(session.engine, target), {}).problems == (
            "SBOM: missing on linux/arm64, against the target's attest; "
            'set attest = ["type=sbom"] and build again',
        )


def test_an_image_of_the_classic_store(project: Project, name: str, classic_engine: str) -> None:
    project.write("FROM scratch\nCOPY Dockerfile /\nUSER 5\nLABEL a=b\n", "Dockerfile")
    project.write(_target("app", f"{name}:v1", ["linux/amd64"]))
    docker("build", "-q", "-t", f"{name}:v1", str(project.folder), DOCKER_HOST=classic_engine)
    target = _plan(project, "app")
    with (
        closing(sdk.DockerClient(classic_engine, version="auto")) as client,
        opened(project, client) as session,
    ):
        image = location.require(session.engine, target)
        assert _check(session, target, image, {}) == Found(facts=("1 platform, no attestations",))
        subject = Subject(session, target, image, target.platforms[0])
        spec = expectations.Config(user="5", nonroot=True, labels={"a": "b"})
        assert config.check(subject, spec) == Found()
        small = size.check(subject, expectations.Size(unpacked=40, compressed=1))
        assert small.facts == ("48 B unpacked",)
        assert small.problems == (
            "compressed: not known: the classic image store compresses layers only when they are "
            "pushed; use the containerd image store, or expect unpacked",
            "unpacked: 48 B, at most 40 B allowed",
        )


def _target(target: str, tag: str, platforms: list[str], more: str = "") -> str:
    listed = json.dumps(platforms)
    return f'[target.{target}]\ntags = ["{tag}"]\nplatforms = {listed}\n{more}'


def _plan(project: Project, target: str) -> TargetPlan:
    return make_plan(loading.load(project.folder / "buildx.toml"), [target]).targets[0]


def _check(session: Session, target: TargetPlan, image: Image, expected: dict[str, Any]) -> Found:
    spec = msgspec.convert(expected, expectations.Index)
    reached = session.engine, session.workspace.registries
    return index.check_whole(*reached, target, image, spec)


def _load(tag: str, predicates: dict[str, list[str]]) -> None:
    """Load an image for linux with an attestation of each architecture, from an OCI layout."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:

        def put(path: str, content: bytes) -> None:
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        def blob(content: bytes | dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            digest = hashlib.sha256(data).hexdigest()
            put(f"blobs/sha256/{digest}", data)
            return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

        oci = "application/vnd.oci.image"

        def manifest(config: dict[str, Any], layers: list[dict[str, Any]], **more: Any) -> Any:
            content = {
                "schemaVersion": 2,
                "mediaType": f"{oci}.manifest.v1+json",
                "config": blob(config, f"{oci}.config.v1+json"),
                "layers": layers,
            }
            return blob(content, f"{oci}.manifest.v1+json", **more)

        listed, attesting = [], []
        for architecture, types in predicates.items():
            layer = bytes(1024)
            diff = f"sha256:{hashlib.sha256(layer).hexdigest()}"
            platform = {"os": "linux", "architecture": architecture}
            config = {**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
            listed.append(manifest(config, [blob(layer, f"{oci}.layer.v1.tar")], platform=platform))
            statements = [
                blob(
                    {"_type": "https://in-toto.io/Statement/v0.1", "predicateType": one},
                    "application/vnd.in-toto+json",
                    annotations={"in-toto.io/predicate-type": one},
                )
                for one in types
            ]
            unknown = {"os": "unknown", "architecture": "unknown"}
            attesting.append(
                manifest(
                    {**unknown, "rootfs": {"type": "layers", "diff_ids": []}},
                    statements,
                    platform=unknown,
                    annotations={
                        "vnd.docker.reference.type": "attestation-manifest",
                        "vnd.docker.reference.digest": listed[-1]["digest"],
                    },
                )
            )
        kind = f"{oci}.index.v1+json"
        whole = {"schemaVersion": 2, "mediaType": kind, "manifests": [*listed, *attesting]}
        named = {"io.containerd.image.name": f"docker.io/library/{tag}"}
        top = {"schemaVersion": 2, "manifests": [blob(whole, kind, annotations=named)]}
        put("index.json", json.dumps(top).encode())
        put("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    subprocess.run(["docker", "load", "-q"], input=archive.getvalue(), check=True)
