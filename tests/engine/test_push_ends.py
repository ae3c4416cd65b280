"""Pushes that are killed, and pushes at the same time: what is published is whole, and never mixed."""

from __future__ import annotations

import json
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from buildx_tasks.records.ledger import Ledger

from .conftest import in_registry, rounds, running

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest
    from conftest import Project
    from docker import DockerClient

TARGETS = ("one", "two", "three")
TAGS = ("v1", "latest")
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")


def write(project: Project, repository: str, word: str, *, immutable: bool = False) -> None:
    """Three targets on four platforms; ${NAME} is the end of their repositories' names."""
    for target in TARGETS:
        data = random.Random(target + word).randbytes(300_000)  # noqa: S311 - what no layer compresses
        (project.folder / f"{target}.data").write_bytes(data)
    project.write(
        "variable.NAME.default = 'x'\n"
        + "".join(
            f"""
[target.{target}]
dockerfile-inline = '''
FROM scratch
ARG TARGETPLATFORM
COPY {target}.data /data
LABEL platform=$TARGETPLATFORM
'''
platforms = {json.dumps(PLATFORMS)}
tags = ["{repository}-{target}-${{NAME}}:v1", "{repository}-{target}-${{NAME}}:latest"]
verify.config.labels = {{ platform = "{{platform}}" }}
push.immutable = {json.dumps(["v*"] if immutable else [])}
"""
            for target in TARGETS
        )
    )


def built(project: Project, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Build; return the digests by target."""
    project.ok("build", "--progress", "quiet", env=env)
    entries = Ledger(project.folder).read()
    return {e["target"]: e["digest"] for e in entries if e["event"] == "built"}


def held(repository: str, name: str = "x") -> dict[tuple[str, str], str]:
    """Return what each tag holds, by target and tag; whatever one holds is there whole."""
    found = {}
    for target in TARGETS:
        place = f"{repository}-{target}-{name}"
        for tag in TAGS:
            index = in_registry(f"{place}:{tag}")
            if index is None:
                continue
            found[target, tag] = index[0]
            for entry in index[1]["manifests"]:
                manifest = in_registry(f"{place}@{entry['digest']}")
                assert manifest, f"{place}:{tag} lacks {entry['digest']}"
                assert manifest[0] == entry["digest"]
    return found


def meant(digests: dict[str, str]) -> dict[tuple[str, str], str]:
    return {(target, tag): digests[target] for target in TARGETS for tag in TAGS}


def test_a_push_that_is_killed_is_finished_by_the_next(
    project: Project, registry: str, name: str, engine: DockerClient
) -> None:
    repository = f"{registry}/{name}"
    write(project, repository, "a")
    whole = meant(built(project))
    began = time.monotonic()
    project.ok("push")
    longest = time.monotonic() - began
    chance = random.Random(6)  # noqa: S311 - moments, no secrets
    path = project.folder / ".buildx" / "ledger.json"
    killed = unfinished = 0
    turns = rounds(20)
    for turn in range(turns):
        # A repository of its own for each turn: all is to be uploaded, all tags are to be set.
        for target in TARGETS:
            image = f"{repository}-{target}-x:v1"
            engine.api.tag(image, f"{repository}-{target}-{turn}", "v1")
        argv = project.command("push", "--set", f"NAME={turn}")
        with running(
            argv, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(chance.uniform(0.3, longest))
            killed += process.poll() is None
            process.kill()
        assert isinstance(json.loads(path.read_text()), list)
        there = held(repository, str(turn))
        assert there.items() <= whole.items()
        unfinished += there != whole
        project.ok("push", "--set", f"NAME={turn}")
        assert held(repository, str(turn)) == whole
    # Of a few, each may have come too late.
    assert min(killed, unfinished) >= turns * 3 // 20
    assert [one.name for one in path.parent.iterdir() if "damaged" in one.name] == []


def test_two_pushes_at_once_leave_what_one_of_them_meant(
    project: Project,
    tmp_path_factory: pytest.TempPathFactory,
    registry: str,
    name: str,
    fresh_engine: str,
) -> None:
    other = type(project)(tmp_path_factory.mktemp("other"))
    for immutable in (False, True):
        repository = f"{registry}/{name}-{immutable}".lower()
        both = [(project, {}, "a"), (other, {"DOCKER_HOST": fresh_engine}, "b")]
        whole = []
        for one, env, word in both:
            write(one, repository, word, immutable=immutable)
            whole.append(meant(built(one, env)))
        assert whole[0] != whole[1]
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda each: each[0].invoke("push", env=each[1]), both))
        there = held(repository)
        assert there in whole
        codes = [result.returncode for result in results]
        if not immutable:
            assert codes == [0, 0], results
            continue
        # Who came first keeps its tags; the other one is told.
        assert sorted(codes) == [0, 1], results
        assert there == whole[codes.index(0)]
        assert "is immutable and holds" in results[codes.index(1)].stderr
