"""A fingerprint for each cell: another one for each kind of change, the same for what is no change."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from buildx_tasks.inputs.fingerprints import Fingerprints, Unknowable, World
from buildx_tasks.inputs.known import KnownFiles
from buildx_tasks.language import loading
from buildx_tasks.planning.bakefile import build_definition
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

AMD64, ARM64 = parse("linux/amd64"), parse("linux/arm64")
TOML = """\
[target.base]
context = "base"
tags = ["localhost:5000/base:v1"]
platforms = ["linux/amd64", "linux/arm64"]
[target.app]
context = "app"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/app:v1"]
args = { A = "1" }
labels = { l = "1" }
annotations = ["manifest:a=1"]
contexts = { base = "target:base", more = "more" }
secret = [{ id = "token", env = "TOKEN" }, { id = "file", src = "token.txt" }]
cache-to = ["type=local,dest=cache"]
cache-from = ["type=local,src=cache"]
description = "what it is"
[target.app.files."linux/amd64"]
"tool" = "bin/tool.amd64"
[target.app.files."linux/arm64"]
"tool" = "bin/tool.arm64"
[target.own]
context = "app"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/own:v1"]
[target.own.platform."linux/arm64"]
args = { B = "1" }
"""
FILES = {
    "base/Dockerfile": "FROM alpine:3.22\nCOPY . /\n",
    "base/data": "base",
    "app/Dockerfile": "FROM base\nCOPY . /\nCOPY --from=more . /more\nCOPY --from=files tool /\n",
    "app/data": "app",
    "app/.dockerignore": "*.log\n",
    "app/x.log": "",
    "more/data": "more",
    "bin/tool.amd64": "amd64",
    "bin/tool.arm64": "arm64",
    "token.txt": "secret",
}
OUTSIDE = ("docker.io/library/alpine:3.22@sha256:1",)


class Given(NamedTuple):
    """A folder, and the world around it."""

    root: Path
    world: World


@pytest.fixture
def given(tmp_path: Path) -> Given:
    root = tmp_path / "project"
    for path, text in {"buildx.toml": TOML, **FILES}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    outside = {(name, p): OUTSIDE for name in ("base", "app", "own") for p in (AMD64, ARM64)}
    return Given(root, World(("docker", "28"), b"k" * 32, {"TOKEN": "value"}, outside))


def read(given: Given, *, platforms: tuple[str, ...] = ()) -> Fingerprints:
    config = loading.load(given.root / "buildx.toml")
    plan = make_plan(config, ["app", "own"], platforms)
    known = KnownFiles(given.root / "none.json")
    return Fingerprints(given.root, build_definition(plan), plan, given.world, known)


def told(given: Given, target: str = "app") -> tuple[str, str]:
    found = read(given)
    return found.of(target, AMD64), found.of(target, ARM64)


def put(path: str, text: str) -> Callable[[Given], Given]:
    def change(given: Given) -> Given:
        (given.root / path).write_text(text)
        return given

    return change


def said(old: str, new: str) -> Callable[[Given], Given]:
    def change(given: Given) -> Given:
        file = given.root / "buildx.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return given

    return change


def world(**changed: Any) -> Callable[[Given], Given]:
    return lambda given: given._replace(world=given.world._replace(**changed))


def moved(*names: str) -> Callable[[Given], Given]:
    def change(given: Given) -> Given:
        outside = dict(given.world.outside)
        for name in names:
            outside.update({(name, p): ("alpine@sha256:2",) for p in (AMD64, ARM64)})
        return given._replace(world=given.world._replace(outside=outside))

    return change


def chmod(path: str) -> Callable[[Given], Given]:
    def change(given: Given) -> Given:
        (given.root / path).chmod(0o755)
        return given

    return change


def linked(given: Given) -> Given:
    (given.root / "app/data").unlink()
    (given.root / "app/data").symlink_to("x.log")
    return given


CHANGES: dict[str, Callable[[Given], Given]] = {
    "a byte": put("app/data", "apq"),
    "a mode": chmod("app/data"),
    "a link": linked,
    "a new file": put("app/new", ""),
    "the Dockerfile": put("app/Dockerfile", FILES["app/Dockerfile"] + "# more\n"),
    "an ignore rule": put("app/.dockerignore", "*.log\nnothing\n"),
    "an ignore file of its own": put("app/Dockerfile.dockerignore", "data\n"),
    "an argument": said('A = "1"', 'A = "2"'),
    "a new argument": said('A = "1"', 'A = "1", Z = ""'),
    "an argument less": said('A = "1"', ""),
    "a label": said('l = "1"', 'l = "2"'),
    "an annotation": said("manifest:a=1", "manifest:a=2"),
    "a tag": said("app:v1", "app:v2"),
    "a tag more": said(
        '"localhost:5000/app:v1"', '"localhost:5000/app:v1", "localhost:5000/app:v2"'
    ),
    "a stage": said('context = "app"', 'context = "app"\ntarget = "x"'),
    "another Dockerfile": said('context = "app"', 'context = "app"\ndockerfile = "data"'),
    "an inline Dockerfile": said(
        'context = "app"', 'context = "app"\ndockerfile-inline = "FROM base"'
    ),
    "a named context's content": put("more/data", "less"),
    "another named context": said('more = "more"', 'more = "bin"'),
    "a named context more": said('more = "more"', 'more = "more", z = "bin"'),
    "a linked target's context": put("base/data", "other"),
    "a linked target's Dockerfile": put("base/Dockerfile", "FROM alpine:3.22\n"),
    "a linked target's argument": said('context = "base"', 'context = "base"\nargs = { X = "1" }'),
    "a linked target's label": said('context = "base"', 'context = "base"\nlabels = { X = "1" }'),
    "a linked target's base": moved("base"),
    "a base": moved("app"),
    "a secret's value": world(environment={"TOKEN": "other"}),
    "a secret's file": put("token.txt", "other"),
    "a secret's source": said('env = "TOKEN"', 'env = "token"'),
    "a secret less": said('{ id = "token", env = "TOKEN" }, ', ""),
    "another machine's key": world(key=b"l" * 32),
    "another engine": world(tools=("docker", "29")),
    "where the cache goes": said("dest=cache", "dest=other"),
    "an export": said(
        'context = "app"', 'context = "app"\noutput = ["type=image,compression=zstd"]'
    ),
    "attestations": said('context = "app"', 'context = "app"\nattest = ["type=sbom"]'),
    "a network": said('context = "app"', 'context = "app"\nnetwork = "none"'),
    "a host": said('context = "app"', 'context = "app"\nextra-hosts = { h = "10.0.0.1" }'),
    "a limit": said('context = "app"', 'context = "app"\nulimits = ["nofile=1024:1024"]'),
    "shared memory": said('context = "app"', 'context = "app"\nshm-size = "128m"'),
    "an entitlement": said('context = "app"', 'context = "app"\nentitlements = ["network.host"]'),
    "a name of the files": said('"tool" =', '"tool2" ='),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_kind_of_change_is_seen(given: Given, change: Callable[[Given], Given]) -> None:
    before = told(given)
    given = given._replace(
        world=given.world._replace(environment={**given.world.environment, "token": "value"})
    )
    assert told(given) == before
    after = told(change(given))
    assert after[0] != before[0]
    assert after[1] != before[1]


def touched(given: Given) -> Given:
    for path in given.root.rglob("*"):
        path.touch()
    return given


def elsewhere(given: Given) -> Given:
    shutil.copytree(given.root, given.root.parent / "clone", symlinks=True)
    return given._replace(root=given.root.parent / "clone")


def reordered(given: Given) -> Given:
    file = given.root / "buildx.toml"
    tables = re.split(r"^(?=\[target\.\w+\]$)", file.read_text(), flags=re.MULTILINE)
    file.write_text("".join(reversed(tables)))
    return given


def with_state(given: Given) -> Given:
    (given.root / "app/.buildx").mkdir()
    return given


SAME: dict[str, Callable[[Given], Given]] = {
    "nothing": lambda given: given,
    "times": touched,
    "another folder": elsewhere,
    "another order of tables": reordered,
    "what is ignored": put("app/x.log", "more"),
    "our own state": with_state,
    "where the cache is from": said("src=cache", "src=other"),
    "what people read": said("what it is", "what else it is"),
    "another target": put(
        "buildx.toml", TOML + '[target.new]\ndockerfile-inline = "FROM scratch"\n'
    ),
    "a linked target's tag": said("base:v1", "base:v2"),
    "a variable that nobody reads": world(environment={"TOKEN": "value", "OTHER": "1"}),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_no_change_is_not_seen(given: Given, change: Callable[[Given], Given]) -> None:
    before = told(given)
    assert told(change(given)) == before


def test_a_file_of_one_platform_changes_that_platform(given: Given) -> None:
    before = told(given)
    after = told(put("bin/tool.arm64", "changed")(given))
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_overrides_of_one_platform_change_that_platform(given: Given) -> None:
    before = told(given, "own")
    after = told(said('B = "1"', 'B = "2"')(given), "own")
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert len({*before, *after}) == 3


def test_a_selection_does_not_change_a_platform(given: Given) -> None:
    whole = read(given).of("own", ARM64)
    part = read(given, platforms=("linux/arm64",)).of("own", ARM64)
    assert part != whole  # its tag is another one
    assert len(part) == len(whole) == 64


def without_a_context(given: Given) -> Given:
    shutil.rmtree(given.root / "more")
    return given


UNKNOWABLE: Mapping[str, tuple[Callable[[Given], Given], str]] = {
    "ssh": (said('context = "app"', 'context = "app"\nssh = ["default"]'), "ssh"),
    "no-cache": (said('context = "app"', 'context = "app"\nno-cache = true'), "no-cache"),
    "a linked target's": (
        said('context = "base"', 'context = "base"\nno-cache = true'),
        "no-cache",
    ),
    "a folder that is gone": (without_a_context, "No such"),
    "no key": (world(key=b""), "key"),
    "no variable": (world(environment={}), "TOKEN"),
    "what is outside": (
        world(outside={("app", p): Unknowable("nobody knows") for p in (AMD64, ARM64)}),
        "nobody knows",
    ),
}


@pytest.mark.parametrize(("change", "why"), UNKNOWABLE.values(), ids=UNKNOWABLE)
def test_what_cannot_be_known_has_none(
    given: Given, change: Callable[[Given], Given], why: str
) -> None:
    given = change(given)
    with pytest.raises(Unknowable, match=why):
        told(given)


def test_what_changes_later_is_seen(given: Given) -> None:
    found = read(given)
    found.of("app", AMD64)
    assert found.are_still_so()
    (given.root / "app/x.log").write_text("ignored")
    assert found.are_still_so()
    text = (given.root / "app/data").read_text()
    (given.root / "app/data").write_text("changed")
    (given.root / "app/data").write_text(text)
    assert not found.are_still_so()


@pytest.mark.parametrize("path", ["app/Dockerfile", "token.txt", "more/data", "base/data"])
def test_whatever_was_read_is_looked_at_again(given: Given, path: str) -> None:
    found = read(given)
    found.of("app", AMD64)
    (given.root / path).write_text("other")
    assert not found.are_still_so()


def test_no_secret_is_in_what_is_said(given: Given) -> None:
    found = read(given)
    whole = repr(found._said("app", AMD64, is_linked=False))
    assert "'value'" not in whole
    assert "secret" in whole
