"""Secrets as BuildKit gets them: never an empty one in place of one that is not there."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project

BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'


def dockerfile(unique: str) -> str:
    return (
        f"FROM alpine:3.22\nRUN echo {unique}\n"
        "RUN --mount=type=secret,id=tok cat /run/secrets/tok > /tok || true\n"
        "FROM scratch\nCOPY --from=0 /tok /tok\n"
    )


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex


def test_one_that_is_not_set_is_an_error_before_the_build(project: Project, unique: str) -> None:
    project.write(dockerfile(unique), "Dockerfile")
    project.write(
        '[target.app]\noutput = ["out"]\nsecret = ["id=tok,env=BT_TOKEN"]\n'
        'platforms = ["linux/amd64"]\n'
    )
    result = project.invoke("build", "--progress", "quiet")
    assert result.returncode == 2
    assert result.stderr.startswith('buildx.toml:3:11: [target.app] secret "tok": the variable BT_')
    assert not (project.folder / "out").exists()
    project.ok("build", "--progress", "quiet", env={"BT_TOKEN": ""})
    assert (project.folder / "out" / "tok").read_text() == ""


def test_a_build_with_the_value_does_not_find_the_layer_without(
    project: Project, unique: str
) -> None:
    project.write(dockerfile(unique), "Dockerfile")
    project.write(
        '[target.app]\noutput = ["out"]\nplatforms = ["linux/amd64"]\n'
        'secret = [{ id = "tok", env = "BT_TOKEN", optional = true }]\n'
    )
    out = project.folder / "out" / "tok"
    project.ok("build", "--progress", "quiet")
    assert out.read_text() == ""
    project.ok("build", "--progress", "quiet", env={"BT_TOKEN": "value"})
    assert out.read_text() == "value"
    project.ok("build", "--progress", "quiet")
    assert out.read_text() == ""


@pytest.mark.parametrize("platforms", [(), ("-p", "linux/arm64")], ids=["both", "one"])
def test_a_linked_target_has_its_secret_through_all_links(
    project: Project, unique: str, platforms: tuple[str, ...]
) -> None:
    base = "FROM alpine:3.22\nRUN --mount=type=secret,id=tok,required true\n"
    project.write(f"{base}RUN echo {unique}\n", "Dockerfile.base")
    project.write(
        f'[target.base]\ndockerfile = "Dockerfile.base"\n{BOTH}secret = ["id=tok,env=BT_TOKEN"]\n'
        f'[target.middle]\ndockerfile-inline = "FROM base"\n{BOTH}contexts.base = "target:base"\n'
        f'[target.app]\ndockerfile-inline = "FROM middle"\n{BOTH}contexts.middle = "target:middle"\n'
        'output = ["type=cacheonly"]\n'
    )
    words = ("build", "-t", "app", *platforms, "--no-cache", "--progress", "quiet")
    project.ok(*words, env={"BT_TOKEN": "x"})
    result = project.invoke(*words)
    assert result.returncode == 2
    assert result.stderr.startswith('buildx.toml:4:11: [target.base] secret "tok"')


@pytest.mark.parametrize("stage", ["", "--platform=$BUILDPLATFORM "], ids=["emulated", "native"])
def test_overrides_of_platforms_have_secrets_of_their_own(
    project: Project, unique: str, stage: str
) -> None:
    project.write(dockerfile(unique).replace("FROM alpine", f"FROM {stage}alpine"), "Dockerfile")
    text = f'[target.app]\noutput = ["out"]\n{BOTH}'
    for name in ("amd64", "arm64"):
        text += f'[target.app.platform."linux/{name}"]\nsecret = ["id=tok,env=BT_{name}"]\n'
    project.write(text)
    # Unique: what BuildKit has once taken for the same content, it takes for it from then on.
    values = {f"BT_{name}": f"{name}-{unique}" for name in ("amd64", "arm64")}
    for words in ((), ("--no-cache",)):
        project.ok("build", "--progress", "quiet", *words, env=values)
        found = [(project.folder / f"out/linux_{n}/tok").read_text() for n in ("amd64", "arm64")]
        assert found == list(values.values())
