"""``join`` at a registry that does it wrong, and one that is killed: what tags hold, and the next run."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest
from support import parts

from buildx_tasks import Project as Loaded
from buildx_tasks import references
from buildx_tasks.errors import PushError, RegistryError
from buildx_tasks.joining import part as handing
from buildx_tasks.joining import runs
from buildx_tasks.registry import connection, endpoints, faults

from .conftest import in_registry, running
from .fault_proxy import FAULTS, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.parts import Sample

    from buildx_tasks.registry.endpoints import Endpoint


TOML = """
[variable.PLACE]
default = "localhost:1/x"
[ci]
staging = "${PLACE}/parts"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
[target.app]
tags = ["${PLACE}/app:v1", "${PLACE}/copy:latest"]
"""
TAGS = ("app:v1", "copy:latest")
STAGES = {"parts": "blobs", "index": "manifests", "tags": "tags"}
# Only the answer is wrong: the blob is there, and is found there.
HARMLESS = {("lost", "parts"), ("slow", "parts"), ("wrong-digest", "parts")}
ROUNDS = 20
# Has all loaded; then, for each line, runs join in a process of its own, which can be killed.
SERVER = """
import os, sys
from buildx_tasks import Project
from buildx_tasks.joining import join, runs  # what join loads anyway
from buildx_tasks.registry import registries
for line in sys.stdin:
    run, place = line.split()
    child = os.fork()
    if not child:
        with Project.load(".", values={"PLACE": place}) as project:
            project.select().join(run)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()  # until then its number is nobody else's
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Quiet:
    def planned(self, *_: object) -> None: ...
    def sent(self, *_: object) -> None: ...
    def present(self, *_: object) -> None: ...


class Place(NamedTuple):
    """Some repositories, reached at an address; ``direct`` is the registry itself."""

    folder: Path
    address: str
    direct: str
    name: str

    def load(self) -> Loaded:
        return Loaded.load(self.folder, values={"PLACE": f"{self.address}/{self.name}"})

    def samples(self, run: str) -> list[Sample]:
        with self.load() as project:
            return parts.parts(runs.run_of(project, project.select().plan, run), run)

    def hand_in(self, run: str, *, direct: bool = True) -> None:
        """Hand in all parts of a run, as part does."""
        host = self.direct if direct else self.address
        with self.load() as project:
            for one in self.samples(run):
                place = references.parse(f"{host}/{self.name}/parts:{one.tag}")
                box = handing._Box(project, place, Quiet(), replace=False)
                box.take(one.tag, one.record, one.whole, one.source)

    def join(self, run: str) -> dict[str, str]:
        """Join a run; return what its tags are to hold from now on."""
        with self.load() as project:
            moved = project.select().join(run)
        return {one.tag.rpartition("/")[2]: one.digest for one in moved}

    def held(self) -> dict[str, str]:
        """What each tag really holds; whatever one holds is there whole."""
        found = {}
        for tag in TAGS:
            place = f"{self.direct}/{self.name}/{tag}"
            index = in_registry(place)
            if index is None:
                continue
            found[tag] = index[0]
            assert len(index[1]["manifests"]) == 2
            for entry in index[1]["manifests"]:
                manifest = in_registry(f"{place.rpartition(':')[0]}@{entry['digest']}")
                assert manifest
                assert manifest[0] == entry["digest"]
        return found


@pytest.fixture(scope="module")
def proxy(registry: str) -> Iterator[FaultProxy]:
    with FaultProxy(registry) as proxy:
        proxy.stall = 0.5
        yield proxy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "buildx.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module", autouse=True)
def known_endpoints() -> Iterator[None]:
    """Read the authorities once for each address, and not for each join."""
    real = endpoints.of

    @functools.cache
    def of(name: str) -> Endpoint:
        return real(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoints, "of", lambda name, *_: of(name))
        yield


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(faults, "LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nothing")  # join needs no engine


@pytest.fixture(scope="module")
def place(folder: Path, registry: str, proxy: FaultProxy) -> Place:
    """What one case leaves under the tags is what the next one finds there."""
    place = Place(folder, proxy.address, registry, f"join/{uuid4().hex[:8]}")
    place.hand_in("first")
    place.join("first")
    return place


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "503"])
def test_a_fault_leaves_old_tags_or_whole_new_ones_and_the_next_run_completes(
    place: Place, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, fault: str, stage: str
) -> None:
    if fault == "slow":
        monkeypatch.setattr(connection, "READ_SECONDS", 0.3)
    before = place.held()
    run = f"{fault}-{stage}"
    is_harmless = (fault, stage) in HARMLESS
    if stage != "parts":
        place.hand_in(run)
    proxy.arm(fault, STAGES[stage], None, method="PUT")
    if not is_harmless:
        with pytest.raises((RegistryError, PushError)) as caught:
            place.hand_in(run, direct=False) if stage == "parts" else place.join(run)
        proxy.calm()
        require_told(place, str(caught.value), run, before)
    if stage == "parts":
        if not is_harmless:
            with pytest.raises(PushError, match="is missing: there is no"):
                place.join(run)
            assert place.held() == before
        place.hand_in(run, direct=False)
    proxy.calm()
    after = place.join(run)
    assert place.held() == after
    assert all(after[tag] != before[tag] for tag in TAGS)


def require_told(place: Place, text: str, run: str, before: dict[str, str]) -> None:
    """Require old or whole new images under all tags, and an error that says what they hold."""
    there = place.held()
    samples = {one.record.digest for one in place.samples(run)}
    moved = {tag for tag in TAGS if there[tag] != before[tag]}
    for tag in moved:
        index = in_registry(f"{place.direct}/{place.name}/{tag}")
        assert index
        assert {one["digest"] for one in index[1]["manifests"]} <= samples
    if not run.endswith("-tags"):
        assert not moved
    if not run.endswith("-parts"):
        for tag in TAGS:
            assert f"{place.address}/{place.name}/{tag}: " in text, text


@pytest.mark.alone
def test_a_join_that_is_killed_is_completed_by_the_next(folder: Path, registry: str) -> None:
    chance = random.Random(15)  # noqa: S311 - moments, no secrets
    place = Place(folder, registry, registry, f"killed/{uuid4().hex[:8]}")
    place.hand_in("first")
    after = place.join("first")
    longest, killed, unfinished = 0.0, 0, 0
    with running(
        [sys.executable, "-c", SERVER],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        for turn in range(ROUNDS + 1):
            before = after
            place.hand_in(f"turn-{turn}")
            began = time.monotonic()
            server.stdin.write(f"turn-{turn} {registry}/{place.name}\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            if longest:
                time.sleep(chance.uniform(0, longest))
                os.kill(child, signal.SIGKILL)
            server.stdin.write("done\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            longest = longest or time.monotonic() - began
            there = place.held()
            after = place.join(f"turn-{turn}")
            assert place.held() == after
            assert all(there[tag] in (before[tag], after[tag]) for tag in TAGS)
            assert not set(after.values()) & set(before.values())
            killed += bool(status)
            unfinished += there != after
            assert isinstance(json.loads((folder / ".buildx" / "ledger.json").read_text()), list)
        server.stdin.close()
    assert killed >= 5
    assert unfinished >= 5
    assert [one for one in (folder / ".buildx").iterdir() if "damaged" in one.name] == []
