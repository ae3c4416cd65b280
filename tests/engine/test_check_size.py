from __future__ import annotations

import json
import random
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from support import workspaces

from buildx_tasks import sizes
from buildx_tasks.building import location
from buildx_tasks.engine import content
from buildx_tasks.images import published, store
from buildx_tasks.language import expectations
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.verification.check import Found, Subject
from buildx_tasks.verification.checks import size
from buildx_tasks.verification.containers import Session

if TYPE_CHECKING:
    import pytest
    from conftest import Project

    from buildx_tasks.images.image import Image
    from buildx_tasks.registry.repository import Repository


def test_each_limit_passes_and_fails_for_its_own_reason(
    project: Project, name: str, registry: str
) -> None:
    _write(project, name, registry, 300_000)
    project.ok("build", "--progress", "quiet")
    with closing(workspaces.declared(project.folder)) as workspace:
        (target,) = make_plan(workspace.config).targets

        def found(platform: str, **expected: Any) -> Found:
            with closing(Session(workspace)) as session:
                image = location.require(workspace.engine, target)
                subject = Subject(session, target, image, parse(platform))
                return size.check(subject, msgspec.convert(expected, expectations.Size))

        # Far larger than what HTTP/2 sends before it is told to go on.
        stored = store.stored(workspace.engine, f"{registry}/{name}:v1")
        assert stored
        api = workspace.engine.api
        layers = json.loads(content.read(api, stored.manifest("linux/arm64")))["layers"]
        largest = max(layers, key=lambda layer: int(layer["size"]))
        assert len(content.read(api, largest["digest"])) == largest["size"] > 200_000

        # Built and never run: arm64 is not unpacked yet, and need not be for the rest.
        assert "unpacked" not in found("linux/arm64", compressed="350kB").facts[0]
        for platform in ("linux/amd64", "linux/arm64"):
            passing = found(platform, compressed="350kB", unpacked="400kB", growth=0)
            assert passing.problems == ()
            assert re.fullmatch(r"30.\.. kB compressed, 3..\.. kB unpacked", passing.facts[0])
            assert passing.facts[1:] == ("nothing pushed yet: growth is not known",)
            (problem,) = found(platform, compressed="200kB", unpacked="400kB").problems
            assert re.fullmatch(
                r"compressed: 30.\.. kB, at most 200\.0 kB allowed; biggest layers: "
                r"30.\.. kB COPY data /data, \d+ B COPY (amd|arm)64 /note",
                problem,
            )
            (problem,) = found(platform, compressed="350kB", unpacked="1kB").problems
            assert re.match(r"unpacked: 3..\.. kB, at most 1\.0 kB allowed; biggest lay", problem)

        project.ok("push")
        old = Ledger(project.folder).read()[-1]["sizes"]["linux/arm64"]
        _write(project, name, registry, 360_000)
        project.ok("build", "--progress", "quiet")
        for source in ("ledger", "registry"):
            if source == "registry":  # a fresh checkout
                (project.folder / ".buildx" / "ledger.json").unlink()
            enough = found("linux/arm64", growth=21)
            assert enough.problems == ()
            assert re.fullmatch(r"36.* kB compressed, \+(19|20)\.. % since .*", enough.facts[0])
            (problem,) = found("linux/arm64", growth=10).problems
            assert re.match(
                rf"growth: \+(19|20)\.. % since the last push \({sizes.text(old)}, now 36.\.. kB "
                r"compressed\), at most 10 % allowed; biggest layers: 36",
                problem,
            )
        # What was pushed last counts, not what was pushed first.
        project.ok("push")
        assert "+0.0 % since the last push" in found("linux/arm64", growth=0).facts[0]


def test_a_registry_that_does_not_say_is_asked_once_and_a_problem(
    project: Project, name: str, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(project, name, registry, 100)
    project.ok("build", "--progress", "quiet")
    asked: list[str] = []
    ask = published.published

    def counted(repository: Repository, reference: str) -> Image:
        asked.append(reference)
        return ask(repository, reference)

    monkeypatch.setattr(published, "published", counted)
    monkeypatch.setattr(size, "_MOST_SECONDS", 2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(workspaces.declared(project.folder)) as workspace,
        closing(Session(workspace)) as session,
    ):
        (target,) = make_plan(workspace.config).targets
        image = location.require(workspace.engine, target)

        def found(tag: str) -> list[Found]:
            of = target._replace(spec=target.spec._replace(attributes={"tags": [tag]}))
            subjects = [Subject(session, of, image, p) for p in target.platforms]
            with ThreadPoolExecutor() as pool:
                return list(
                    pool.map(lambda s: size.check(s, expectations.Size(growth=5)), subjects)
                )

        for tag, reason in {
            f"localhost:{silent.getsockname()[1]}/{name}:v1": "no answer in 2 s",
            f"localhost:1/{name}:v1": ".*Connection refused",
        }.items():
            asked.clear()
            for one in found(tag):
                (problem,) = one.problems
                assert re.match(
                    rf"growth: the last push is not known \({tag} cannot be read from its registry: "
                    rf"{reason}\); see to it that the registry answers",
                    problem,
                )
            assert len(asked) == 1


def _write(project: Project, name: str, registry: str, size: int) -> None:
    # Bytes that no layer compresses; the same in every run.
    (project.folder / "data").write_bytes(random.Random(0).randbytes(size))  # noqa: S311
    for architecture in ("amd64", "arm64"):
        project.write(architecture, architecture)
    text = "FROM scratch\nARG TARGETARCH\nCOPY data /data\nCOPY $TARGETARCH /note\n"
    project.write(text, "Dockerfile")
    project.write(
        f"""
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1", "{registry}/{name}:latest"]
"""
    )
