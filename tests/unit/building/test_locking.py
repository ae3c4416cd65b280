"""What a lock comes to, and what a bake file is with it: no engine, no registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.workspaces import declared

from buildx_tasks.building import bases, locking, resolving
from buildx_tasks.building.below import Facts
from buildx_tasks.building.resolving import Found, Resolved
from buildx_tasks.building.standing import Standing
from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.workspace import Workspace

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
COMMIT = "c" * 40
BOTH = frozenset(map(parse, ("linux/amd64", "linux/arm64")))
TEXT = """
# syntax=docker/dockerfile:1
FROM alpine:3.22 AS a
FROM node AS node
FROM busybox
COPY --from=a / /
COPY --from=node / /
COPY --from=src / /
"""
TOML = """
[target.app]
dockerfile-inline = \"\"\"{text}\"\"\"
platforms = ["linux/amd64", "linux/arm64"]
contexts = {{ src = "https://example.com/x.git#main:sub" }}
tags = ["app:v1"]
[target.other]
dockerfile-inline = "FROM app:v1\\nCOPY --from=kept:dev / /\\n"
[lock]
exclude = ["*:dev"]
{more}
"""


class Upstream:
    """What registries and repositories say."""

    def __init__(self) -> None:
        self.digest = OLD
        self.platforms = BOTH
        self.created = "2020-01-01T00:00:00Z"
        self.absent: set[str] = set()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        def looked(own: Resolved, name: str) -> Found:
            if name in self.absent:
                return Found(name, "registry", why="not there", is_absent=not own._has_store)
            return Found(name, "registry", self.digest, is_index=True)

        patch.setattr(Resolved, "_looked", looked)
        patch.setattr(Resolved, "_reach", lambda _: None)
        patch.setattr(Resolved, "_asked", lambda *_: Facts(True, self.platforms))
        patch.setattr(Resolved, "_commit", lambda _, address: Found(address, "git", COMMIT))
        patch.setattr(Resolved, "created", lambda *_: self.created)


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    found = Upstream()
    found.install(monkeypatch)
    return found


def project(folder: Path, more: str = "") -> Workspace:
    (folder / "buildx.toml").write_text(TOML.format(text=TEXT.lstrip(), more=more))
    return declared(folder)


def test_a_lock_has_all_that_is_read_and_is_left_alone_afterwards(
    tmp_path: Path, upstream: Upstream
) -> None:
    workspace = project(tmp_path)
    plan = make_plan(workspace.config)
    found = locking.add(workspace, plan)
    assert list(found.pins) == [
        "alpine:3.22",
        "busybox:latest",
        "docker/dockerfile:1",
        "https://example.com/x.git#main:sub",
        "node:latest",
    ]
    assert found.notes == ["app:v1 is what this project builds itself, and stays as it is"]
    assert found.problems == []
    assert locking.write(workspace, found)
    text = (tmp_path / "buildx.lock").read_text()
    assert f'"alpine:3.22" = "{OLD}"  # linux/amd64, linux/arm64\n' in text
    assert f'"https://example.com/x.git#main:sub" = "{COMMIT}"\n' in text
    upstream.digest = NEW
    again = locking.add(workspace, plan)
    assert (again.lines, again.text) == ([], text)
    assert not locking.write(workspace, again)
    checked = locking.check(workspace, plan)
    assert [one.split()[:2] for one in checked.problems] == [
        ["moved", name]
        for name in ("alpine:3.22", "busybox:latest", "docker/dockerfile:1", "node:latest")
    ]


def test_an_update_says_what_came_and_went(tmp_path: Path, upstream: Upstream) -> None:
    workspace = project(tmp_path)
    plan = make_plan(workspace.config)
    locking.write(workspace, locking.add(workspace, plan))
    upstream.digest, upstream.platforms = NEW, frozenset(map(parse, ("linux/amd64", "linux/s390x")))
    found = locking.update(workspace, plan, ["alpine"])
    assert found.lines == [
        f"moved alpine:3.22 {OLD[:19]} → {NEW[:19]} (+ linux/s390x, - linux/arm64)"
    ]
    assert found.problems == [
        "[target.app] dockerfile-inline:2: alpine:3.22 has no linux/arm64; it has linux/amd64, "
        "linux/s390x"
    ]
    assert found.pins["busybox:latest"].digest == OLD
    with pytest.raises(UsageError, match='reads "alpin:3.22"; did you mean "alpine:3.22"'):
        locking.update(workspace, plan, ["alpin:3.22"])


@pytest.mark.parametrize(
    ("created", "why"),
    [
        ("2999-01-01T00:00:00.123Z", "was made 2999-01-01T00:00:00Z, and cooldown is 14d"),
        ("", "does not say when it was made, and cooldown is 14d"),
        ("1970-01-01T00:00:00Z", ""),
    ],
)
def test_the_cooldown(tmp_path: Path, upstream: Upstream, created: str, why: str) -> None:
    workspace = project(tmp_path, 'cooldown = "14d"')
    plan = make_plan(workspace.config, ["app"])
    locking.write(workspace, locking.add(workspace, plan))
    upstream.digest, upstream.created = NEW, created
    found = locking.update(workspace, plan, ["alpine:3.22"])
    assert found.pins["alpine:3.22"].digest == (OLD if why else NEW)
    notes = [f"alpine:3.22 stays at {OLD[:19]}: {NEW[:19]} {why}"] if why else []
    assert found.notes == notes
    (tmp_path / "buildx.lock").unlink()
    workspace.__dict__.pop("pins")
    found = locking.add(workspace, plan, ["alpine:3.22"])
    assert ("alpine:3.22" in found.pins) is not bool(why)


def test_what_cannot_be_pinned_is_said_and_the_rest_is(tmp_path: Path, upstream: Upstream) -> None:
    workspace = project(tmp_path)
    upstream.absent = {"busybox:latest"}
    found = locking.add(workspace, make_plan(workspace.config))
    assert found.problems == [
        "busybox:latest ([target.app] dockerfile-inline:4) is not locked: not there"
    ]
    assert "alpine:3.22" in found.pins


@pytest.mark.usefixtures("upstream")
def test_a_bake_file_reads_what_is_pinned(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    plan = make_plan(workspace.config)
    locking.write(
        workspace, locking.add(workspace, plan, ["docker*", "alpine:3.22", "http*", "node"])
    )
    standing = Standing(workspace, plan, None, asks=False)
    definition: dict[str, Any] = plan.bake_file
    target = standing.pinned(definition, plan)["target"]["app"]
    assert target["args"] == {"BUILDKIT_SYNTAX": f"docker/dockerfile:1@{OLD}"}
    assert target["contexts"] == {
        "alpine:3.22": f"docker-image://alpine:3.22@{OLD}",
        "src": f"https://example.com/x.git#{COMMIT}:sub",
    }
    assert definition["target"]["app"]["contexts"] == {"src": "https://example.com/x.git#main:sub"}
    assert standing.unlocked == ["busybox:latest"]
    assert list(standing.said()) == [
        "buildx.lock pins 4 of what is read",
        "not in buildx.lock: busybox:latest; run invoke lock",
        "note: [target.app] dockerfile-inline:3: node cannot be pinned, as a stage has its name; name "
        "the stage otherwise",
    ]
    left = Standing(workspace, plan, None, locked=False, asks=False)
    assert left.pinned(definition, plan) == definition
    (line,) = left.said()
    assert line.startswith("buildx.lock is left aside (--no-lock)")


def test_without_a_lock_a_run_reads_what_it_found_first(tmp_path: Path, upstream: Upstream) -> None:
    workspace = project(tmp_path)
    plan = make_plan(workspace.config)
    standing = Standing(workspace, plan, None)
    upstream.digest = NEW
    for _ in range(2):
        target = standing.pinned(plan.bake_file, plan)["target"]["app"]
        assert target["contexts"]["alpine:3.22"] == f"docker-image://alpine:3.22@{OLD}"
    assert list(standing.said()) == []


@pytest.mark.usefixtures("upstream")
def test_a_damaged_note_of_what_is_below_digests_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = project(tmp_path)
    plan = make_plan(workspace.config, ["app"])
    workspace.ledger.prepare()
    known = tmp_path / ".buildx" / "bases.json"
    asked: list[str] = []

    def ask(_: Resolved, name: str) -> Facts:
        asked.append(name)
        return Facts(True, BOTH)

    monkeypatch.setattr(resolving.Resolved, "_asked", ask)
    for text in ("", "[]", '{"a": 1}', '{"a": {"index": true, "platforms": ["x"]}}'):
        known.write_text(text)
        asked.clear()
        bases.require_platforms(workspace, Standing(workspace, plan, None))
        assert asked
    asked.clear()
    bases.require_platforms(workspace, Standing(workspace, plan, None))
    assert asked == []


@pytest.mark.usefixtures("upstream")
def test_a_pin_of_one_platform_is_an_error_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = project(tmp_path)
    (tmp_path / "buildx.lock").write_text(f'\n"alpine:3.22" = "{NEW}"\n')
    plan = make_plan(workspace.config, ["app"])
    workspace.ledger.prepare()
    one = Facts(False, frozenset(map(parse, ("linux/amd64",))))
    monkeypatch.setattr(
        Resolved, "_asked", lambda _, name: one if NEW in name else Facts(True, BOTH)
    )
    with pytest.raises(ConfigError) as error:
        bases.require_platforms(workspace, Standing(workspace, plan, None))
    assert str(error.value) == (
        f'buildx.lock:2:1: "alpine:3.22" is pinned to the manifest of one platform, {NEW}, and is an '
        "image of several; run invoke lock --update alpine:3.22"
    )
