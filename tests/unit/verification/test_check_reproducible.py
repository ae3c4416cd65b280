"""What differs between two builds, in words; what the two builds are told."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.errors import EngineError, UsageError
from buildx_tasks.images import archives
from buildx_tasks.images.image import Image
from buildx_tasks.language import loading
from buildx_tasks.language.git import source_date_epoch
from buildx_tasks.language.targets import Target
from buildx_tasks.planning.bakefile import bake_definition, build_definition
from buildx_tasks.planning.cells import TargetPlan
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import reproducible
from buildx_tasks.verification.checks.alike import differences, of_configs
from buildx_tasks.verification.checks.reproducible import definition_of, epoch_of

if TYPE_CHECKING:
    from pathlib import Path

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
PROJECT = """
[target.base]
platforms = ["linux/amd64"]
cache-to = ["type=local,dest=cache"]

[target.app]
contexts.base = "target:base"
args = { VERSION = "1" }
platforms = ["linux/amd64", "linux/arm/v7"]
tags = ["app:v1", "app:latest"]
no-cache-filter = ["base"]
secret = ["id=token,env=TOKEN"]
attest = ["type=sbom"]
[[target.app.verify.check]]
name = "twice"
reproducible = true

[target.own]
args.SOURCE_DATE_EPOCH = "5"
tags = ["own:v1"]
output = ["type=image,name=own,compression=zstd,push=true"]
verify.reproducible = true

[target.other]
tags = ["other:v1"]
"""


def layer(*files: tuple[str, str, dict[str, Any]]) -> bytes:
    """A layer of these names, contents (of links: where they lead) and facts."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content, facts in files:
            info = tarfile.TarInfo(name)
            for key, value in {"mode": 0o644, "mtime": 100, **facts}.items():
                setattr(info, key, value)
            info.linkname = content if info.type == tarfile.SYMTYPE else ""
            info.size = len(content) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content.encode()))
    return written.getvalue()


def image(
    path: Path,
    layers: dict[str, bytes],
    level: int = 9,
    form: str = "application/vnd.oci.image.manifest.v1+json",
    **config: Any,
) -> str:
    """Write an image's archive; return its manifest's digest. ``layers``: instruction → content."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return f"sha256:{digest}"

    diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers.values()]
    history = [{"created_by": by} for by in layers]
    written = {"rootfs": {"diff_ids": diff_ids}, "history": history, **config}
    packed = [put(gzip.compress(data, level, mtime=0)) for data in layers.values()]
    sizes = {f"sha256:{name[13:]}": len(data) for name, data in blobs.items()}
    described = json.dumps(written).encode()
    manifest = {
        "mediaType": form,
        "config": {"digest": put(described), "size": len(described)},
        "layers": [{"digest": digest, "size": sizes[digest]} for digest in packed],
    }
    digest = put(json.dumps(manifest).encode())
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    inner = {"manifests": [{"digest": digest, "size": 1, "platform": platform}]}
    index = {"manifests": [{"digest": put(json.dumps(inner).encode()), "size": 1}]}
    with tarfile.open(path, "w") as tar:
        for name, data in {"index.json": json.dumps(index).encode(), **blobs}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return digest


@pytest.fixture
def compare(tmp_path: Path) -> Any:
    def compare(before: dict[str, bytes], now: dict[str, bytes], **facts: Any) -> Any:
        paths = tmp_path / "before.tar", tmp_path / "now.tar"
        first = image(paths[0], before)
        second = image(paths[1], now, **facts)
        with archives.opened(paths[0]) as one, archives.opened(paths[1]) as other:
            assert [str(p) for p in other.manifests()] == ["linux/arm64"]
            return differences(one, first, other, second)

    return compare


def test_an_archive_that_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"half")
    for name in ("x.tar", "y.tar"):
        with (
            pytest.raises(EngineError, match=f"{name} cannot be read: .*; verify again"),
            archives.opened(tmp_path / name),
        ):
            pass


def test_each_way_in_which_a_file_differs(compare: Any) -> None:
    run = "RUN |1 A=b /bin/sh -c make\tit # buildkit"
    link = {"type": tarfile.SYMTYPE}
    found = compare(
        {
            run: layer(
                ("content", "a", {}),
                ("mode", "", {}),
                ("owner", "", {}),
                ("gone", "", {}),
                ("link", "a", link),
                ("type", "a", {}),
                ("esc\x1b[m", "a", {"mtime": 1}),
                ("equal", "a", {}),
            )
        },
        {
            run: layer(
                ("content", "bb", {"mtime": 102}),
                ("mode", "", {"mode": 0o4755}),
                ("owner", "", {"uid": 5, "gid": 6}),
                ("new/", "", {"type": tarfile.DIRTYPE}),
                ("link", "b", link),
                ("type", "", link),
                ("esc\x1b[m", "a", {"mtime": 2}),
                ("equal", "a", {}),
            )
        },
    )
    assert found.problems == tuple(
        f"{line}; made by RUN make it"
        for line in (
            "/content: other content (2 bytes, before 1), other modification time "
            "(1970-01-01T00:01:42Z, before 1970-01-01T00:01:40Z)",
            "/gone: not there when built again",
            "/link: leads to b, before to a",
            "/mode: other mode (4755, before 0644)",
            "/new: only there when built again",
            "/owner: other owner (5:6, before 0:0)",
            "/type: other type (symlink, before file)",
            "/esc\\x1b[m: other modification time (1970-01-01T00:00:02Z, before 1970-01-01T00:00:01Z)",
        )
    )
    assert not found.only_times


def test_ten_files_then_a_count(compare: Any) -> None:
    names = [f"{number:02}" for number in range(12)]
    found = compare(
        {"COPY . .": layer(*((name, "", {}) for name in names))},
        {"COPY . .": layer(*((name, "", {"mtime": 7}) for name in names))},
    )
    assert len(found.problems) == 11
    assert found.problems[-1] == "… and 2 more files"
    assert found.only_times


def test_later_layers_decide(compare: Any) -> None:
    last: tuple[str, str, dict[str, Any]] = ("a/.wh.file", "", {})
    found = compare(
        {"RUN x": layer(("a/file", "1", {})), "RUN y": layer(last)},
        {"RUN x": layer(("a/file", "2", {})), "RUN y": layer(last), "RUN z": layer(("z", "", {}))},
    )
    # The second layer is equal, and left out: it hides nothing of the first ones.
    assert [line.partition(":")[0] for line in found.problems[:2]] == ["/a/file", "/z"]
    assert found.problems[2].startswith("history of RUN z: ")


def test_same_files_packed_otherwise(compare: Any) -> None:
    two: list[tuple[str, str, dict[str, Any]]] = [("a", "1" * 999, {}), ("b", "2", {})]
    found = compare({"COPY x": layer(*two)}, {"COPY x": layer(*reversed(two))})
    assert found.problems == ("the layer of COPY x: the same files, in another order",)
    found = compare({"COPY x": layer(*two)}, {"COPY x": layer(*two)}, level=0)
    assert found.problems == ("the layer of COPY x: other compression, the same files",)
    assert compare({"COPY x": layer(*two)}, {"COPY x": layer(*two)}).problems == ()


def test_another_form_of_the_manifest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = parse("linux/arm64")
    layers = {"COPY x": layer(("a", "1", {}))}
    paths = tmp_path / "before.tar", tmp_path / "now.tar"
    first, second = image(paths[0], layers), image(paths[1], layers, form=DOCKER)
    monkeypatch.setattr(reproducible, "_saved", lambda *_: archives.opened(paths[0]))
    target = TargetPlan("app", Target({}), (platform,), (platform,))
    stored = Image("app:v1", "index", {platform: first})
    nothing: Any = None
    for digest, fact in {
        first: f"built again: the same {first}",
        second: "built again: the same, but for the form of the manifest "
        f"({second}, before {first})",
    }.items():
        built = reproducible._Again({platform: digest}, lambda _: archives.opened(paths[1]))
        found = reproducible._compared(nothing, target, stored, platform, built, lambda _: "")
        types = [f"media type of the manifest: {DOCKER}, before {OCI}"] if digest == second else []
        assert found == Found(facts=(fact, *types))


def test_other_numbers_of_layers_that_come_to_the_same_files(compare: Any) -> None:
    # As where one build makes a layer of nothing.
    one = layer(("a", "1", {}))
    more = {"COPY x": one, "COPY y": layer()}
    for before, now, text in (
        (more, {"COPY x": one}, "none, before 1 (COPY y)"),
        ({"COPY x": one}, more, "1, before none (COPY y)"),
    ):
        history, problem = compare(before, now).problems
        assert history.startswith("history of ")
        assert problem == f"other layers, which come to the same files: {text}"


def test_each_way_in_which_a_config_differs() -> None:
    before = {
        "created": "2023-11-14T22:13:20Z",
        "config": {"Env": ["PATH=/bin", "N=1"], "Labels": {"a": "1", "b": "2"}},
        "history": [{"created_by": "ENV N=1", "created": "1"}, {"created_by": "RUN x"}],
        "rootfs": {"diff_ids": ["1"]},
    }
    now = {
        "created": "2023-11-14T22:13:21Z",
        "config": {"Env": ["PATH=/bin", "N=2"], "Labels": {"a": "1", "b": "3"}, "User": "me"},
        "history": [{"created_by": "ENV N=2", "created": "1"}, {"created_by": "RUN y"}],
        "rootfs": {"diff_ids": ["2"]},
    }
    assert list(of_configs(before, now)) == [
        "config created: 2023-11-14T22:13:21Z, before 2023-11-14T22:13:20Z",
        'config Env: ["N=2"], before ["N=1"]',
        'config Labels: {"b": "3"}, before {"b": "2"}',
        "config User: me, before none",
        'history of ENV N=2: {"created_by": "ENV N=2"}, before {"created_by": "ENV N=1"} (and 1 more)',
    ]
    assert list(of_configs(before, before)) == []


@pytest.mark.parametrize(
    ("created", "epoch"),
    [
        ("2023-11-14T22:13:20Z", "1700000000"),
        ("1970-01-01T00:00:00Z", "0"),
        ("2023-11-14T22:13:20.123456789Z", ""),
        ("0001-01-01T00:00:00Z", ""),
        ("", ""),
    ],
)
def test_the_epoch_is_read_from_the_image(created: str, epoch: str) -> None:
    assert epoch_of(created) == epoch


def test_the_epoch_is_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert source_date_epoch(tmp_path) == "0"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert source_date_epoch(tmp_path) == "0"
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1700000000 +0000")
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    assert source_date_epoch(tmp_path) == "1700000000"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "42")
    assert source_date_epoch(tmp_path) == "42"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(UsageError, match='="today" is no number of seconds'):
        source_date_epoch(tmp_path)


def test_only_what_declares_it_is_built_with_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text(PROJECT)
    config = loading.load(tmp_path / "buildx.toml")
    plan = make_plan(config, ["app", "own", "other"])
    targets = build_definition(plan, None, {"app": "app.tar"}, epoch="7")["target"]
    assert targets["app"]["args"] == {"SOURCE_DATE_EPOCH": "7", "VERSION": "1"}
    assert targets["app"]["output"] == [
        {"type": "oci", "dest": "app.tar", "rewrite-timestamp": "true"}
    ]
    assert targets["base"]["args"] == {"SOURCE_DATE_EPOCH": "7"}
    assert targets["own"]["args"] == {"SOURCE_DATE_EPOCH": "5"}
    plain = bake_definition(plan)["target"]
    assert targets["own"]["output"] == plain["own"]["output"]
    assert targets["other"] == {**plain["other"], "output": [{"type": "docker"}]}
    staged = build_definition(plan, {"app": "app:staging", "other": "other:staging"}, epoch="7")
    assert staged["target"]["app"]["output"] == [
        {"type": "registry", "rewrite-timestamp": "true", "store": "false"}
    ]
    assert staged["target"]["other"]["output"] == [{"type": "registry"}]


def test_the_second_build_touches_nothing_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text(PROJECT)
    config = loading.load(tmp_path / "buildx.toml")
    plan = make_plan(config, ["app"], ["linux/arm/v7"])
    targets = definition_of(plan, "7", {"type": "oci", "dest": "x.tar"})["target"]
    assert sorted(targets) == ["app", "base"]
    for attributes in targets.values():
        assert not {"tags", "cache-to", "no-cache-filter"} & set(attributes)
        assert attributes["attest"] == [{"type": "provenance", "disabled": "true"}]
        assert attributes["args"]["SOURCE_DATE_EPOCH"] == "7"
    assert targets["base"]["output"] == [{"type": "cacheonly"}]
    app = targets["app"]
    assert app["platforms"] == ["linux/arm/v7"]
    assert app["secret"] == [{"id": "token", "env": "TOKEN"}]
    assert app["output"] == [{"type": "oci", "dest": "x.tar", "rewrite-timestamp": "true"}]
    # A target's own export decides on the bytes too.
    own = definition_of(make_plan(config, ["own"]), "7", {"type": "oci", "dest": "x.tar"})
    assert own["target"]["own"]["output"] == [
        {"type": "oci", "dest": "x.tar", "compression": "zstd"}
    ]
    assert own["target"]["own"]["args"]["SOURCE_DATE_EPOCH"] == "5"


@pytest.mark.parametrize(
    ("by", "problems", "said"),
    [
        (("Docker Engine 28.5.2", "Docker Engine 28.5.2"), (), "both by Docker Engine 28.5.2"),
        (("", "BuildKit v0.25.1"), (), "built by an unknown version, again by BuildKit v0.25.1"),
        (("", ""), ("x",), ""),
        (
            ("BuildKit v0.12.0", "BuildKit v0.25.1"),
            ("x",),
            "built by BuildKit v0.12.0, again by BuildKit v0.25.1: other versions may write other "
            "images; run invoke build --no-cache, and verify",
        ),
    ],
)
def test_versions_of_both_builds_are_said(
    by: tuple[str, str], problems: tuple[str, ...], said: str
) -> None:
    found = reproducible._with_builders(Found(problems), by)
    assert [*found.facts, *found.problems] == [*problems, *([said] if said else [])]


def test_causes_have_the_line_that_made_them(compare: Any) -> None:
    found = compare(
        {"RUN apt-get update": layer(("var/log/dpkg.log", "2024-01-02 a", {}))},
        {"RUN apt-get update": layer(("var/log/dpkg.log", "2024-01-03 b", {}))},
    )
    assert found.problems[-1] == (
        "/var/log/dpkg.log made by RUN apt-get update: logs of apt and dpkg; end its RUN with && rm -rf "
        "/var/log/apt /var/log/dpkg.log /var/log/alternatives.log"
    )
