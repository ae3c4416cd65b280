"""What lint reaches: base images, frontends that are not there, notes, caches that platforms share."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from buildx_tasks import platforms

from .conftest import cannot_run, docker

if TYPE_CHECKING:
    from conftest import Project

BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'
# A build folder as cargo and make keep it: what is there is taken as it is.
CACHED = """\
FROM alpine:3.22
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/target,sharing=locked{id} \
    : {id}; [ -e /target/app ] || uname -m > /target/app; cp /target/app /app
"""


def test_one_frontend_that_is_not_there_leaves_the_others_alone(project: Project) -> None:
    gone = "localhost:1/no/such-frontend:1"
    project.write(
        f'[defaults]\n{BOTH}[target.a]\ndockerfile = "a"\n[target.b]\ndockerfile = "b"\n'
        '[target.c]\ndockerfile = "c"\n'
    )
    project.write("# a word\nFROM alpine:3.22\nCOPY x.amd64 /\n", "b")
    project.write(f"# check=skip=none\n# syntax={gone}\nFROM alpine:3.22\nCOPY x.amd64 /\n", "a")
    project.write("FROM alpine:3.22 as c\n", "c")
    done = project.invoke("lint")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "fix:" not in line]
    assert [line.split()[:2] for line in lines] == [
        ["a:2:", "Unbuildable"],
        ["a:4:", "ArchitectureInCopy"],
        ["b:3:", "ArchitectureInCopy"],
        ["c:1:", "FromAsCasing"],
    ]
    assert gone in lines[0]
    alone = project.invoke("lint", "-t", "a")
    assert alone.stdout.splitlines()[0].startswith("a:2: Unbuildable")


def test_a_base_image_that_lacks_a_platform(project: Project, name: str, registry: str) -> None:
    base = f"{registry}/{name}:base"
    project.write("FROM scratch\nCOPY Dockerfile /\n", "Dockerfile")
    options = ["--platform", "linux/amd64", "--tag", base, "--quiet", "--provenance=false"]
    subprocess.run(["docker", "buildx", "build", *options, "."], cwd=project.folder, check=True)
    docker("push", "--quiet", base)
    project.write(f"ARG BASE={base}\nFROM $BASE AS one\nFROM alpine:3.22\nFROM one\n", "Dockerfile")
    project.write(f"[target.app]\n{BOTH}")
    for _ in ("in the store", "in the registry"):
        done = project.invoke("lint", "--format", "json")
        assert done.returncode == 1
        (found,) = json.loads(done.stdout)["findings"]
        assert (found["code"], found["line"], found["platform"]) == (
            "BaseLacksPlatform",
            2,
            "linux/arm64",
        )
        assert found["message"] == f"the base image {base} has no linux/arm64; it has linux/amd64"
        docker("image", "rm", "--force", base)
    project.write('[target.app]\nplatforms = ["linux/amd64"]\n')
    assert project.ok("lint") == "nothing found\n"


def test_a_note_fails_nothing_unless_one_is_strict(project: Project) -> None:
    project.write(f"[target.app]\n{BOTH}")
    project.write("FROM alpine:3.22\nRUN true\n", "Dockerfile")
    assert "Dockerfile:2: note: EmulatedRun" in project.ok("lint")
    done = project.invoke("lint", "--strict")
    assert done.returncode == 1
    assert "error: 1 found" in done.stderr
    project.write(
        "FROM alpine:3.22 AS made\nRUN true\nFROM alpine:3.22\nCOPY --from=made / /\n", "Dockerfile"
    )
    assert project.invoke("lint").returncode == 1


def test_a_shared_cache_really_mixes_platforms_and_the_fix_does_not(
    project: Project, name: str
) -> None:
    """The same with cargo itself: the image for arm64 gets amd64's program, in each of nine builds."""
    if platforms.host_platform().architecture != "amd64":
        cannot_run("the platforms are those of an amd64 machine")

    def machines(mount: str) -> list[str]:
        # What is said of a mount is not in the key of BuildKit's cache, so the command says it too.
        text = CACHED.replace("{id}", f",id={name}{mount}", 1).replace("{id}", mount)
        project.write(text, "Dockerfile")
        argv = ["docker", "buildx", "build", "--platform=linux/amd64,linux/arm64"]
        argv += ["--output=type=local,dest=out", "."]
        subprocess.run(argv, cwd=project.folder, check=True, capture_output=True)
        places = ("linux_amd64", "linux_arm64")
        return [(project.folder / f"out/{place}/app").read_text().strip() for place in places]

    assert len(set(machines("-shared"))) == 1
    assert machines("-$TARGETPLATFORM") == ["x86_64", "aarch64"]
