"""Verdicts travel with the image, by the registry's own lists and by tags, and are demanded."""

from __future__ import annotations

import json
import os
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from conftest import Project

from buildx_tasks import Project as Loaded
from buildx_tasks import references
from buildx_tasks.images import statements
from buildx_tasks.images.artifacts import Artifact, artifact, descriptor_of
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.registry import referrers

from .conftest import in_registry
from .fault_proxy import FaultProxy, Referrers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.registry.repository import Repository

PLATFORMS = ("linux/amd64", "linux/arm64")
TOML = '''
[variable.TAG]
default = "v1"
[target.app]
dockerfile-inline = """
FROM alpine:3.22
ARG TARGETPLATFORM
ENV WORD=$TARGETPLATFORM
CMD echo "Hello, $WORD!"
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{listing}/{name}/app:${{TAG}}", "{plain}/{name}/other:${{TAG}}"]
verify.binaries = {{}}
{push}
[[target.app.verify.check]]
name = "greets"
run.stdout = "Hello, {{platform}}!"
[[target.app.verify.check]]
name = "sings"
run.stdout = "La"
xfail = {{ "linux/arm64" = "not yet", "linux/amd64" = "not yet" }}
'''
COSIGN = """#!/bin/sh
echo "$@" >> "{log}"
"""


class Place(NamedTuple):
    """A project whose image was built and verified; a registry that lists, and one that does not."""

    project: Project
    name: str
    listing: FaultProxy
    plain: FaultProxy
    digest: str

    def write(self, push: str = "") -> None:
        proxies = {"listing": self.listing.address, "plain": self.plain.address}
        self.project.write(TOML.format(name=self.name, push=push, **proxies))

    def refs(self, tag: str = "v1") -> tuple[str, str]:
        listing, plain = self.listing.address, self.plain.address
        return f"{listing}/{self.name}/app:{tag}", f"{plain}/{self.name}/other:{tag}"

    def asked(self) -> list[tuple[str, str]]:
        """What the registries were asked since the last time."""
        found = []
        for proxy in (self.listing, self.plain):
            found += [(method, path) for method, path, _ in proxy.log]
            proxy._log.clear()
        return found

    def manifests(self, ref: str) -> dict[str, str]:
        found = in_registry(ref)
        assert found
        return {
            f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"]
            for one in found[1]["manifests"]
            if one["platform"]["os"] != "unknown"
        }


@pytest.fixture(scope="module")
def place(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    project = Project(tmp_path_factory.mktemp("project"))
    listing = FaultProxy(registry, referrers=Referrers())
    with listing, FaultProxy(registry) as plain:
        place = Place(project, f"evidence-{project.folder.parent.name}", listing, plain, "")
        place.write()
        project.ok("build", "--progress", "quiet", "verify")
        built = [e for e in Ledger(project.folder).read() if e["event"] == "built"]
        yield place._replace(digest=built[-1]["digest"])
        project.ok("clean")


def tags_of(repository: str) -> set[str]:
    host, _, name = repository.partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{name}/tags/list") as answer:
        return set(json.load(answer)["tags"])


def shown(project: Project, ref: str) -> dict[str, list[dict[str, Any]]]:
    """What ``inspect --ref`` says is attached, by platform; of the index under ``""``."""
    (found,) = json.loads(project.ok("inspect", "--ref", ref, "--format", "json"))
    platforms = {one["platform"]: one["evidence"] for one in found["platforms"]}
    return {"": found["evidence"], **platforms}


def test_verdicts_are_where_the_registry_lists_them_and_by_tags_where_one_asks(
    place: Place, tmp_path: Path
) -> None:
    """Nothing piles up, the index stays as it was, and what is signed is each verdict."""
    project = place.project
    listing, plain = place.refs()
    log = tmp_path / "signed"
    (tmp_path / "cosign").write_text(COSIGN.format(log=log))
    (tmp_path / "cosign").chmod(0o755)
    place.write("push.sign = true")
    project.ok("push", env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    for ref in (listing, plain):
        found = in_registry(ref)
        assert found
        assert found[0] == place.digest
    manifests = place.manifests(plain)
    attached = shown(project, listing)
    assert attached[""] == []
    signed = log.read_text().splitlines()
    for platform in PLATFORMS:
        (one,) = attached[platform]
        assert one["verdict"]["subjects"] == [manifests[platform]]
        assert (one["verdict"]["passed"], one["verdict"]["warned"]) == (
            ["binaries", "greets"],
            ["sings"],
        )
        repository = listing.rpartition(":")[0]
        assert f"sign --yes {repository}@{one['digest']}" in signed
    assert shown(project, plain) == {"": [], **{platform: [] for platform in PLATFORMS}}
    assert tags_of(plain.rpartition(":")[0]) == {"v1"}
    demanded = project.invoke("verify", "--ref", listing, "--ref", plain, "--require", "verdict")
    assert demanded.returncode == 1
    assert f"{listing} linux/arm64 {manifests['linux/arm64']}: WARNED: binaries, greets; " in (
        demanded.stdout
    )
    lacking = ", ".join(f"{plain} {platform}" for platform in PLATFORMS)
    assert f"without a verdict that they passed: {lacking}; verify and push" in demanded.stderr

    place.write("push.verdicts = true")
    project.ok("push")
    beside = {f"sha256-{digest.partition(':')[2]}" for digest in manifests.values()}
    assert tags_of(plain.rpartition(":")[0]) == {"v1", *beside}
    assert tags_of(listing.rpartition(":")[0]) == {"v1"}
    assert shown(project, listing) == shown(project, plain) == attached
    flags = ("--ref", listing, "--ref", plain, "--require", "verdict")
    project.ok("verify", *flags, env={"DOCKER_HOST": "unix:///nothing"})
    place.asked()
    project.ok("push")
    asked = place.asked()
    assert {method for method, _ in asked} == {"HEAD", "GET"}
    assert [path for method, path in asked if method == "GET"] == ["/v2/", "/v2/"]
    assert len(asked) == 2 * (1 + 1 + 4)  # a tag, and what is below it
    (project.folder / ".buildx" / "ledger.json").unlink()  # as in a fresh clone
    project.ok("push")
    assert not {"PUT", "POST"} & {method for method, _ in place.asked()}
    assert shown(project, listing) == shown(project, plain) == attached
    place.write("push.verdicts = false")
    project.ok("push", "--tag", "without")


def attach(repository: Repository, made: Artifact) -> None:
    for digest, data in made.blobs.items():
        repository.upload(digest, len(data), partial(iter, [data]), lambda _: None)
    referrers.attach(repository, made.manifest)


def test_a_verdict_of_another_digest_is_refused_and_a_failed_one_counts(place: Place) -> None:
    """With and without the registry's own lists."""
    project = place.project
    place.write("push.verdicts = true")
    project.ok("push", "--tag", "strange")
    for ref in place.refs("strange"):
        known = place.manifests(ref)
        verdict = statements.Verdict("app@linux/arm64", ("all",))
        with Loaded.load(project.folder) as loaded:
            repository = loaded.registries.repository(references.parse(ref))
            arm64, amd64 = (
                descriptor_of(repository.get(known[f"linux/{which}"]))
                for which in ("arm64", "amd64")
            )
            other = statements.written(verdict, amd64)
            (data,) = (data for data in other.blobs.values() if data != b"{}")
            lying = artifact(statements.TYPE, data, arm64, {PREDICATE: statements.TEST_RESULT})
            attach(repository, lying)
            broken = artifact(statements.TYPE, b"[{", arm64, {PREDICATE: statements.TEST_RESULT})
            attach(repository, broken)
            result = project.invoke("verify", "--ref", ref, "--require", "verdict")
            assert result.returncode == 0, result.stderr
            assert f"refused {lying.manifest.digest}: it is a verdict of another digest" in (
                result.stdout
            )
            assert f"{broken.manifest.digest} is no in-toto statement" in result.stdout
            tree = project.ok("inspect", "--ref", ref)
            assert f"verdict {lying.manifest.digest}  refused: it is a verdict of " in tree
            failed = statements.written(verdict._replace(passed=(), failed=("all",)), arm64)
            attach(repository, failed)
        result = project.invoke("verify", "--ref", ref, "--require", "verdict")
        assert result.returncode == 1
        assert f"a verdict says that it failed: {failed.manifest.digest}" in result.stdout
        assert f"without a verdict that they passed: {ref} linux/arm64; " in result.stderr


def test_what_is_joined_has_the_verdicts_of_its_parts(place: Place, tmp_path: Path) -> None:
    place.write("push.verdicts = true")
    project = place.project
    flags = ("-s", "TAG=joined")
    project.ok("build", *flags, "--progress", "quiet", "verify")
    project.ok("part", *flags, "--id", "7", "--to", str(tmp_path / "parts"))
    project.ok("join", *flags, "--id", "7", "--from", str(tmp_path / "parts"))
    for ref in place.refs("joined"):
        manifests = place.manifests(ref)
        attached = shown(project, ref)
        for platform in PLATFORMS:
            verdicts = [one["verdict"] for one in attached[platform] if one["verdict"]]
            assert {one["result"] for one in verdicts} >= {"WARNED"}
            assert {tuple(one["subjects"]) for one in verdicts} == {(manifests[platform],)}


def test_a_persons_own_files_go_out_the_same_way(place: Place) -> None:
    """To each platform where the path names it, to the index otherwise; by what is in them."""
    project, folder = place.project, place.project.folder
    place.write(
        'push.verdicts = false\npush.attach = { sbom = "sbom-{os}-{arch}.json", '
        'vex = "app.openvex.json", notes = "NOTES.md" }'
    )
    missing = project.invoke("push", "--tag", "files")
    assert missing.returncode == 2
    assert "buildx.toml:15:17:" in missing.stderr
    assert (
        "attaches cannot be had: sbom-linux-amd64.json (not there), sbom-linux-arm64.json (not "
        "there), app.openvex.json (not there), NOTES.md (not there); write the files before the push"
    ) in missing.stderr
    assert all(in_registry(ref) is None for ref in place.refs("files"))
    for arch in ("amd64", "arm64"):
        sbom = {"spdxVersion": "SPDX-2.3", "name": arch}
        (folder / f"sbom-linux-{arch}.json").write_text(json.dumps(sbom))
    (folder / "app.openvex.json").write_text('{"@context": "https://openvex.dev/ns/v0.2.0"}')
    (folder / "NOTES.md").write_text("# Notes\n")
    dry = project.ok("--dry", "push", "--tag", "files").splitlines()
    of = "the manifest of linux/arm64"
    assert dry[1] == f"# attached to {of}, before a tag moves: sbom-linux-arm64.json"
    place.asked()
    project.ok("push", "--tag", "files")
    first = place.asked()
    project.ok("push", "--tag", "files")
    assert {method for method, _ in place.asked()} == {"GET", "HEAD"}
    assert {method for method, _ in first} == {"GET", "HEAD", "POST", "PUT", "DELETE"}
    for ref in place.refs("files"):
        attached = shown(project, ref)
        assert [(one["kind"], one["title"]) for one in attached[""]] == [
            ("application/vnd.openvex+json", "app.openvex.json"),
            ("text/markdown", "NOTES.md"),
        ]
        for platform in PLATFORMS:
            title = f"sbom-{platform.replace('/', '-')}.json"
            own = [(o["kind"], o["title"]) for o in attached[platform] if not o["verdict"]]
            assert ("application/spdx+json", title) in own
        found = in_registry(ref)
        assert found
        assert found[0] == place.digest
        # Elsewhere too: once by the registry's own lists, once by tags.
        for number, to in enumerate(place.refs("x")):
            there = f"{to.rpartition(':')[0]}-{ref.rpartition('/')[2].partition(':')[0]}:x"
            project.ok("promote", "--from", ref, "--to", there)
            now = shown(project, there)
            for platform in ("", *PLATFORMS):
                files = [one for one in attached[platform] if one["title"]]
                assert [one for one in now[platform] if one["title"]] == files
                verdicts = [o for o in attached[platform] if o["verdict"]]
                carried = [o for o in now[platform] if o["verdict"]]
                assert carried == verdicts or (number == 1 and not carried), there
            assert not any(one["problem"] for one in now["linux/arm64"])
