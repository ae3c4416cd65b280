from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.stores import Blobs
from support.stores import digest as d

from buildx_tasks.errors import EngineError
from buildx_tasks.images.description import Shown, lines, shown, summary
from buildx_tasks.registry.manifests import Manifest, manifest_of

if TYPE_CHECKING:
    from conftest import Project

OCI = "application/vnd.oci.image"
SLSA, SPDX = "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
GONE = f"sha256:{'9' * 64}"


class Content(Blobs):
    """Images, as a store has them."""

    def image(self, platform: dict[str, str], *layers: tuple[str, int, str]) -> str:
        history = [{"created_by": how} for _, _, how in layers]
        config = self.add({**platform, "history": history})
        return self._image(config, [{"digest": d(one), "size": size} for one, size, _ in layers])

    def attestation(self, of: str, *predicates: str) -> dict[str, Any]:
        mark = "in-toto.io/predicate-type"
        layers = [{"digest": d(p), "size": 700, "annotations": {mark: p}} for p in predicates]
        annotations = {"vnd.docker.reference.type": "attestation-manifest"}
        annotations["vnd.docker.reference.digest"] = of
        digest = self._image(self.add(UNKNOWN), layers)
        return {"digest": digest, "size": 1, "platform": UNKNOWN, "annotations": annotations}

    def _image(self, config: str, layers: list[dict[str, Any]]) -> str:
        described = {"mediaType": f"{OCI}.config.v1+json", "digest": config, "size": 1}
        return self.add({"config": described, "layers": layers})

    def index(self, *listed: dict[str, Any], **more: Any) -> Manifest:
        kind = f"{OCI}.index.v1+json"
        return manifest_of(self[self.add({"mediaType": kind, "manifests": listed, **more})])


AMD64, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm"}


def whole() -> tuple[Content, Manifest, list[str]]:
    content = Content()
    amd64 = content.image(AMD64, ("base", 2000, "COPY / / # buildkit"))
    arm = content.image(
        ARM,
        ("base", 2000, "COPY / / # buildkit"),
        ("top", 30, "RUN /bin/sh -c make\x1b[2J # buildkit"),
    )
    first = content.attestation(amd64, SLSA, SPDX)
    stray = content.attestation("sha256:other", "https://example.com/mine")
    root = content.index(
        first,
        {"digest": amd64, "size": 1, "platform": AMD64},
        {"digest": arm, "size": 1, "platform": ARM},
        {"digest": GONE, "size": 1, "platform": {"os": "linux", "architecture": "riscv64"}},
        {**first, "digest": GONE, "annotations": {**first["annotations"]}},
        stray,
        annotations={"b": "\x07", "a": "1"},
    )
    return content, root, [amd64, arm, first["digest"], stray["digest"]]


def test_the_tree_has_each_platform_with_its_layers_and_attestations() -> None:
    content, root, (amd64, arm, first, stray) = whole()
    image = shown(content, "x/app:v1", root)
    assert list(lines(image)) == [
        f"x/app:v1  index {root.digest}  3 platforms, 2.0 kB",
        "  annotation a = 1",
        "  annotation b = \\x07",
        f"  linux/amd64    {amd64}  2.0 kB, 1 layer",
        f"    {d('base')}    2.0 kB  COPY / /",
        f"    attestation {first}  1.4 kB  provenance {SLSA}, sbom {SPDX}",
        f"    attestation {GONE}  not there",
        f"  linux/arm/v7   {arm}  2.0 kB, 2 layers",
        f"    {d('base')}    2.0 kB  COPY / /",
        f"    {d('top')}      30 B  RUN make\\x1b[2J",
        f"  linux/riscv64  {GONE}  not there",
        f"  attestation {stray}  700 B  https://example.com/mine, of what is not in this index",
    ]
    assert list(lines(image, whole=False)) == [f"{next(lines(image))}, as above"]


def test_json_says_the_same() -> None:
    content, root, (amd64, _, first, stray) = whole()
    said = summary(shown(content, "x/app:v1", root))
    assert (said["reference"], said["digest"], said["size"]) == ("x/app:v1", root.digest, 2030)
    assert said["mediaType"] == f"{OCI}.index.v1+json"
    assert said["annotations"] == {"a": "1", "b": "\x07"}
    assert said["platforms"][0] == {
        "platform": "linux/amd64",
        "digest": amd64,
        "size": 2000,
        "layers": [{"digest": d("base"), "size": 2000, "instruction": "COPY / /"}],
        "attestations": [
            {"digest": first, "predicates": (SLSA, SPDX), "size": 1400},
            {"digest": GONE, "predicates": (), "size": None},
        ],
        "evidence": [],
    }
    assert said["platforms"][1]["size"] == 2030
    lacking = {"platform": "linux/riscv64", "digest": GONE, "size": None, "layers": None}
    assert said["platforms"][2] == {**lacking, "attestations": [], "evidence": []}
    assert [one["digest"] for one in said["attestations"]] == [stray]
    assert "unknown/unknown" not in str(said)


def test_an_image_without_index_has_the_platform_of_its_config() -> None:
    content = Content()
    digest = content.image(ARM, ("base", 999, ""))
    image = shown(content, "app:v1", content.manifest(digest))
    assert list(lines(image)) == [
        f"app:v1  manifest without index {digest}  1 platform, 999 B",
        f"  linux/arm/v7  {digest}  999 B, 1 layer",
        f"    {d('base')}     999 B",
    ]


def test_other_artifacts_and_indexes_in_an_index_are_named_as_such() -> None:
    content = Content()
    described = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": GONE, "size": 1}
    chart = content.add({"config": described, "layers": [{"digest": d("a"), "size": 1}]})
    inner = content.index()
    root = content.index(
        {"digest": chart, "size": 1, "platform": UNKNOWN}, {"digest": inner.digest, "size": 1}
    )
    assert list(lines(shown(content, "app:v1", root)))[1:] == [
        f"  no platform  {chart}  1 B, 1 layer",
        f"    {d('a')}       1 B",
        f"  no platform  {inner.digest}  an index in the index",
    ]


def test_nothing_there() -> None:
    assert list(lines(Shown("app:v1"))) == ["app:v1  not there"]
    said = summary(Shown("app:v1"))
    assert (said["digest"], said["size"], said["platforms"]) == (None, None, [])


@pytest.mark.parametrize("listed", [{}, "x"])
def test_what_is_no_image_is_one_error(listed: Any) -> None:
    content = Content()
    child = content.add(listed)
    root = content.index({"digest": child, "size": 1})
    with pytest.raises(EngineError, match=f"^x/app:v1 cannot be shown: {child} is no image that "):
        shown(content, "x/app:v1", root)


def test_references_and_targets_are_not_mixed(project: Project) -> None:
    project.write("[target.a]\n")
    for args in (["--published"], ["-t", "a"]):
        result = project.invoke("inspect", "--ref", "x/app:v1", *args)
        assert result.returncode == 2
        assert "leave out --target and --published" in result.stderr
