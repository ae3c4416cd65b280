"""Cache mounts that outlive a machine: kept in a registry, brought to another engine, never a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import Project

from .conftest import docker, free_port, in_registry, second_engine

if TYPE_CHECKING:
    from pathlib import Path

TOML = '''
[cache]
mounts = ["{name}-{{arch}}", "go-biuld"]
{cache}
[target.app]
dockerfile-inline = """
FROM {base}
ARG TARGETARCH
COPY word /
RUN --mount=type=cache,id={name}-$TARGETARCH,target=/c,mode=0700,uid=7 \\
    --mount=type=secret,id=token \\
    cat /word >> /c/words && {more} cp /c/words /words
CMD ["cat", "/words"]
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
secret = [{{ id = "token", env = "TOKEN" }}]
'''
CI = {"CI": "true", "TOKEN": "a-secret-value"}


class Place:
    """A project whose RUN appends a word to what its cache mount holds."""

    def __init__(self, folder: Path, registry: str, name: str, base: str) -> None:
        self.project = Project(folder)
        self.values = {"registry": registry, "name": name, "base": base}

    def build(self, word: str, env: dict[str, str], cache: str = "", more: str = "") -> str:
        """Build; return what was said of cache mounts."""
        (self.project.folder / "word").write_text(f"{word}\n")
        self.project.write(TOML.format(cache=cache, more=more, **self.values))
        result = self.project.invoke("build", "--progress", "quiet", env=env)
        assert result.returncode == 0, result.stderr
        return "\n".join(line for line in result.stderr.splitlines() if "cache mount" in line)

    def prune(self, mounts: str) -> str:
        """Return what would go, however old, where the file names these mounts."""
        self.project.write(
            f"[cache]\nmounts = {mounts}\n[target.app]\ndockerfile-inline = 'FROM scratch'\n"
            f'platforms = ["linux/amd64", "linux/arm64"]\ntags = ["{self.tag}"]\n'
        )
        return self.project.ok("prune", "--older", "0m")

    def words(self, platform: str, host: str) -> list[str]:
        return docker("--host", host, "run", "--rm", "--platform", platform, self.tag).split()

    @property
    def tag(self) -> str:
        return f"{self.values['registry']}/{self.values['name']}:v1"

    def kept(self, arch: str) -> str:
        name = self.values["name"]
        return f"{self.values['registry']}/{name}:mount-{name}-{arch}"


def test_another_machine_goes_on_where_the_first_one_was(
    registry: str, name: str, fresh_engine: str, tmp_path: Path
) -> None:
    """Two engines of the test's own: of a busy one BuildKit may give a step a new mount."""
    with second_engine(tmp_path / "first.log", containerd=True) as first:
        _goes_on(registry, name, (first.host, fresh_engine), tmp_path)


def _goes_on(registry: str, name: str, hosts: tuple[str, str], tmp_path: Path) -> None:
    first, second = ({"DOCKER_HOST": host} for host in hosts)
    base = f"{registry}/{name}-base:v1"
    docker("tag", "alpine:3.22", base)
    docker("push", "--quiet", base)
    (tmp_path / "one").mkdir()
    one = Place(tmp_path / "one", registry, name, base)
    without = {**CI, "CI": ""}
    assert one.build("first", {**without, **first}) == ""
    assert in_registry(one.kept("amd64")) is None
    said = one.build("second", {**CI, **first})
    there = f"{name}-amd64, {name}-arm64"
    assert f"cache mount go-biuld: nothing that is built has it; there is: {there}" in said
    for arch in ("amd64", "arm64"):
        assert f"cache mount {name}-{arch}: kept in {one.kept(arch)}" in said
        assert one.words(f"linux/{arch}", hosts[0]) == ["first", "second"]
    assert "brought" not in said  # they were there

    (tmp_path / "two").mkdir()
    two = Place(tmp_path / "two", registry, name, base)
    said = two.build("third", {**CI, **second})
    for arch in ("amd64", "arm64"):
        assert f"cache mount {name}-{arch}: brought from {two.kept(arch)}" in said
    for arch in ("amd64", "arm64"):
        assert two.words(f"linux/{arch}", hosts[1]) == ["first", "second", "third"]
    listed = docker("--host", hosts[1], "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    assert listed.split() == [two.tag]

    # What cannot be kept, or not be had, fails nothing, and is one line for each.
    before = in_registry(one.kept("amd64"))
    said = one.build("fifth", {**CI, **first}, more="cp /run/secrets/token /c/leaked;")
    assert f"cache mount {name}-amd64: not kept: a secret of the build is in it" in said
    assert in_registry(one.kept("amd64")) == before
    away = f'to = "localhost:{free_port()}/x"'
    said = two.build("sixth", {**CI, **second}, away)
    assert f"cache mount {name}-amd64: not kept: " in said
    assert "the build does without" in said
    assert "brought" not in said  # they are there by now

    # What the file names stays, and what it does not name any more goes.
    name = two.values["name"]
    assert two.prune(f'["{name}-{{arch}}"]') == "nothing to remove\n"
    said = two.prune('["renamed-{arch}"]')
    for arch in ("amd64", "arm64"):
        assert f"{two.kept(arch)}: a cache mount that the file does not name, 0 hours old" in said
