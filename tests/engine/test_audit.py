"""What is published, looked at in its registry: faults are named, nothing is read twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from support import published, workspaces
from support.published import BOTH, Maker, Member, program

from buildx_tasks.images import artifacts, statements
from buildx_tasks.images.statements import Verdict
from buildx_tasks.registry import referrers

from .conftest import docker, serving_registry
from .fault_proxy import FaultProxy

if TYPE_CHECKING:
    from conftest import Project
    from support.published import Sample

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


def put(registry: str, sample: Sample) -> str:
    """Put an image into a registry as bytes; return its reference."""
    name = f"{registry}/audit/{sample.name}"
    with closing(workspaces.bare(Path())) as workspace:
        repository = workspace.registries.of(name)
        kinds = sample.store.kinds
        for digest, data in sample.store.items():
            if digest not in kinds:
                repository.upload(digest, len(data), partial(_pieces, data), print)
        for digest in kinds:  # what an index lists is made before it
            manifest = sample.store.manifest(digest)
            repository.put("v1" if digest == sample.root else digest, manifest)
    return f"{name}:v1"


def _pieces(data: bytes) -> list[bytes]:
    return [data]


def results(path: Path) -> dict[str, list[str]]:
    """The problems of each result of a written report, by its id."""
    found = json.loads(path.read_text())
    return {
        one["id"]: [text for check in one["checks"] for text in check["problems"]]
        for one in found["results"]
    }


def forget(folder: Path, sample: Sample, digest: str) -> None:
    """Have a registry lose a manifest, as its garbage collection does to what is only in an index."""
    kept = folder / "data/docker/registry/v2/repositories/audit" / sample.name / "_manifests"
    shutil.rmtree(kept / "revisions/sha256" / digest[7:])


def test_faults_and_good_images_in_a_real_registry(project: Project) -> None:
    faulty, good = published.faulty(), published.good()
    (project.folder / "registry").mkdir()
    with serving_registry(project.folder / "registry") as address, FaultProxy(address) as proxy:
        whole = [published.whole_of(one) for one in (*faulty, *good)]
        with ThreadPoolExecutor(4) as pool:
            references = list(pool.map(partial(put, address), whole))
        for sample, all_of_it in zip((*faulty, *good), whole):
            for lost in set(all_of_it.store) - set(sample.store):
                forget(project.folder / "registry", sample, lost)
        asked = [f"{proxy.address}/{one.partition('/')[2]}" for one in references]
        flags = [word for one in asked for word in ("--ref", one)]
        reports = ["--json", "r.json", "--junit", "r.xml", "--html", "r.html", "--sarif", "r.sarif"]
        result = project.invoke("verify", *flags, *reports, env=NO_ENGINE)
        given = dict(proxy.given)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    found = results(project.folder / "r.json")
    for sample in faulty:
        name = next(one for one in asked if f"/{sample.name}:" in one)
        own = f"{name}@{sample.platform}" if sample.platform else name
        assert found[own], sample.name
        said = "\n".join(
            text for one, texts in found.items() if one.startswith(name) for text in texts
        )
        assert all(text in said for text in sample.says), (sample.name, said)
        shown = own if sample.platform else f"{own} (index)"
        assert f"\n{shown}: FAIL" in result.stderr  # the terminal names it as well
    for sample in good:
        name = next(one for one in asked if f"/{sample.name}:" in one)
        assert [texts for one, texts in found.items() if one.startswith(name)] != []
        assert not any(texts for one, texts in found.items() if one.startswith(name)), sample.name
    # Each layer once, and never more of it than it has.
    sizes = {one: len(data) for sample in (*faulty, *good) for one, data in sample.store.items()}
    counts = {one: sum(one in sample.store for sample in (*faulty, *good)) for one in given}
    assert {one: size for one, size in given.items() if size > sizes[one] * counts[one]} == {}
    assert given
    sarif = json.loads((project.folder / "r.sarif").read_text())
    messages = [r["message"]["text"] for run in sarif["runs"] for r in run["results"]]
    assert any("/app needs the interpreter" in text for text in messages)
    assert (project.folder / "r.xml").read_text().count("<failure") >= len(faulty)
    assert "its config says linux/amd64" in (project.folder / "r.html").read_text()


TOML = """
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/audit/app:v1"]
dockerfile-inline = "FROM {registry}/audit/hard-link:v1"
[target.app.verify]
binaries = {{ static = true }}
config = {{ entrypoint = ["/app"], nonroot = true }}
index = {{ provenance = false }}
run = {{ timeout = 60 }}
size = {{ compressed = "1MB" }}
[target.app.verify.files]
"/etc/passwd" = {{ contains = ["app:x:1000"] }}
"/bin/big" = {{ sha256 = "{sha256}" }}
"/setuid" = {{ exists = false }}
[[target.app.verify.check]]
name = "outside"
structure-test = "cst.yaml"
[target.lost]
tags = ["{registry}/audit/lost:v1"]
[audit]
images = ["{registry}/audit/app:v1"]
setuid = ["/opt/**"]
"""


STRUCTURE = """
schemaVersion: 2.0.0
fileExistenceTests:
- {name: own, path: /opt/own, shouldExist: true, permissions: urwxr-xr-x}
fileContentTests:
- {name: users, path: /etc/passwd, expectedContents: ["app:x:1000"]}
metadataTest: {entrypoint: [/app]}
"""


def test_declared_targets_as_published_are_checked_run_and_their_bases_looked_at(
    project: Project, registry: str
) -> None:
    maker = Maker()
    big = bytes(range(256)) * 8000  # more than is kept of a text
    files = {
        "etc/passwd": b"app:x:1000:1000::/:/bin/sh\n",
        "usr/big": big,
        "bin": Member(symlink="usr"),
        "opt/own": Member(b"#!/bin/sh\n", mode=0o4755),
    }
    layer, start = maker.layer(files), {"Entrypoint": ["/app"], "User": "app"}
    both = [
        maker.platform(one, [maker.layer({"app": program(one)}), layer], start=start)
        for one in BOTH
    ]
    put(registry, maker.sample("app", maker.index(*both)))
    put(registry, next(one for one in published.faulty() if one.name == "hard-link"))
    project.write(STRUCTURE, "cst.yaml")
    project.write(TOML.format(registry=registry, sha256=hashlib.sha256(big).hexdigest()))

    report = project.folder / "r.json"
    found = project.invoke("verify", "--published", "--audit", "--json", "r.json", env=NO_ENGINE)
    assert found.returncode == 1
    assert (
        f"{registry}/audit/lost:v1 is not in its registry; run invoke push -t lost" in found.stdout
    )
    said = results(report)
    assert [one for one, problems in said.items() if problems] == [f"{registry}/audit/lost:v1"]
    assert {"app@linux/amd64", "app@linux/arm64", "app", f"{registry}/audit/app:v1"} <= set(said)
    checks = {one["name"]: one for one in json.loads(report.read_text())["results"][0]["checks"]}
    assert checks["run"]["status"] == "skip"
    outside = [one for name, one in checks.items() if name.startswith("outside")]
    assert [one["status"] for one in outside] == ["ok"] * 3
    names = ["binaries", "config", "files", "size", "setuid", "content", "platform"]
    assert {checks[name]["status"] for name in names} == {"ok"}

    project.ok("verify", "--published", "-t", "app", "-p", BOTH[1], "--run", "--json", "r.json")
    checks = {one["name"]: one for one in json.loads(report.read_text())["results"][0]["checks"]}
    assert checks["run"]["status"] == "ok"
    ours = docker("image", "ls", "--quiet", f"{registry}/audit/app")
    assert ours == ""  # what was pulled for it is gone

    checked = project.invoke("lock", "--check", "--audit", "-t", "app", env=NO_ENGINE)
    assert checked.returncode == 1
    assert "/usr/bin/tool is for linux/amd64" in checked.stdout
    assert "1 of 3 cells failed" in checked.stderr
    refused = project.invoke("lock", "--audit", env=NO_ENGINE)
    assert (refused.returncode, "--check --audit" in refused.stderr) == (2, True)


def test_what_is_attached_holds_or_is_named(project: Project, registry: str) -> None:
    for name in ("attached-good", "attached-wrong"):
        maker = Maker()
        one = maker.platform(BOTH[0], [maker.layer({"app": program(BOTH[0])})])
        reference = put(registry, maker.sample(name, maker.index(one)))
        about = artifacts.descriptor_of(maker.store.manifest(one["digest"]))
        data = statements.written(Verdict("app@linux/amd64", ("run",)), about).blobs
        statement = next(text for text in data.values() if len(text) > 2)
        if name == "attached-wrong":
            statement = statement.replace(about.digest[7:].encode(), b"5" * 64)
        made = artifacts.artifact(statements.TYPE, statement, about, {})
        with closing(workspaces.bare(Path())) as workspace:
            repository = workspace.registries.of(reference)
            for digest, content in made.blobs.items():
                repository.upload(digest, len(content), partial(_pieces, content), print)
            referrers.attach(repository, made.manifest)
        project.invoke("verify", "--ref", reference, "--json", "r.json", env=NO_ENGINE)
        (text,) = results(project.folder / "r.json")[f"{reference}@{BOTH[0]}"] or ("",)
        assert (f"is of another digest, sha256:{'5' * 64}" in text) == (name == "attached-wrong")
        checks = json.loads((project.folder / "r.json").read_text())["results"][0]["checks"]
        (attached,) = [check for check in checks if check["name"] == "attached"]
        assert attached["facts"] == [f"attached: 1 {statements.TYPE}"]


def test_mistakes_are_one_clear_error(project: Project, registry: str) -> None:
    sample = next(one for one in published.good() if one.name == "single")
    reference = put(registry, sample)
    for arguments, code, text in (
        ([reference.replace(":v1", ":v2")], 1, "not found"),
        ([reference, "-p", "linux/s390x"], 2, "has no linux/s390x; it has linux/arm64"),
        (["oci:nothing"], 2, "nothing is no OCI image layout: it has no index.json"),
        ([reference, "--keep"], 2, "--keep is about what was built"),
    ):
        found = project.invoke("verify", "--ref", *arguments, env=NO_ENGINE)
        assert (found.returncode, text in found.stdout + found.stderr) == (code, True), found
        assert "Traceback" not in found.stderr
