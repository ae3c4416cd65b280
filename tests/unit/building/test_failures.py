"""Why a step is likely to have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.streams import bake, plan, take, vertex

from buildx_tasks.building.failures import _source, cause, failures, unbegun
from buildx_tasks.building.masking import masking
from buildx_tasks.building.vertices import Vertex
from buildx_tasks.building.watched import StepState

if TYPE_CHECKING:
    from pathlib import Path


def step(error: str, *, is_emulated: bool = False) -> StepState:
    found = StepState("sha256:1")
    found.what = Vertex(
        (), (), "2/3", "RUN x", "linux/arm64", is_emulated, "Dockerfile", 2, True, False
    )
    found.error = error
    return found


@pytest.mark.parametrize(
    ("error", "log", "emulated", "words"),
    [
        ("exec /bin/sh: exec format error", "", False, "run invoke setup"),
        ("exit code: 1", "exec /bin/sh: exec format error", False, "there is no emulator"),
        ("x: no match for platform in manifest: not found", "", False, "has no linux/arm64"),
        ("write /x: no space left on device", "", False, "the disk is full"),
        ("exit code: 1", "cp: /x: No space left on device", False, "docker system df"),
        ("exit code: 139", "", True, "of linux/arm64 (qemu-aarch64 7.2.22) crashed (signal 11)"),
        ("exit code: 1", "qemu: uncaught target signal 6 (Aborted)", True, "crashed (signal 6)"),
        ("exit code: 139", "", False, ""),
        ("exit code: 137", "", False, "lack of memory"),
        ("exit code: 1", "make: *** [all] Error 1", True, ""),
    ],
)
def test_causes(error: str, log: str, emulated: bool, words: str) -> None:
    found = cause(step(error, is_emulated=emulated), [log], lambda _: "qemu-aarch64 7.2.22")
    assert words in found
    assert bool(words) == bool(found)


def test_the_lines_of_an_instruction() -> None:
    text = "FROM a\nRUN a \\\n  b \\\n  c\nRUN d\nRUN e\nRUN f\n"
    assert [number for number, _ in _source(text, 2)] == [1, 2, 3, 4, 5, 6]
    assert [number for number, _ in _source(text, 7)] == [5, 6, 7]
    assert list(_source(text, None)) == []
    assert list(_source("", 7)) == []


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("FROM a\nRUN a \\\n# why\n\n  b \\\n  c\nRUN d\n", 2, range(1, 8)),
        ("FROM a\nRUN <<EOF\na\n\nRUN b\nEOF\nRUN c\n", 2, range(1, 8)),
        ("# escape=`\nFROM a\nRUN a `\n  b\n", 3, range(1, 5)),
        ("FROM a\r\nRUN b\r\n", 2, range(1, 3)),
        ("FROM a\nRUN <<EOF\nnever ended\n", 2, range(1, 4)),
        (
            "FROM a\n" + "RUN a" + " && \\\n b" * 50 + "\nRUN c\n",
            2,
            [*range(1, 18), *range(49, 54)],
        ),
    ],
)
def test_the_whole_of_an_instruction(text: str, line: int, shown: range | list[int]) -> None:
    assert [number for number, _ in _source(text, line)] == list(shown)
    assert not any(found.endswith("\r") for _, found in _source(text, line))


@pytest.mark.parametrize(
    ("said", "excerpt", "error"),
    [
        (
            "ERROR: target tool: failed to solve: dockerfile parse error on line 2: unknown: RUNX",
            (),
            "dockerfile parse error on line 2: unknown: RUNX",
        ),
        (
            'ERROR: target tool: failed to solve: target stage "x" could not be found',
            ("Dockerfile:2",),
            'target stage "x" could not be found',
        ),
        ("ERROR: target tool: failed to solve: no space left", (), ""),
        ("ERROR: target other: failed to solve: dockerfile parse error on line 2: x", (), ""),
        ("ERROR: failed to solve: dockerfile parse error on line 2: x", (), ""),
        ("ERROR: cannot connect to the engine", ("Dockerfile:2",), ""),
    ],
)
def test_what_never_began(said: str, excerpt: tuple[str, ...], error: str) -> None:
    seen = bake(["app", "tool"])
    seen.say(said)
    found = list(unbegun(seen, excerpt))
    assert len(found) == bool(error)
    for one in found:
        assert (one.error, one.where, one.again) == (error, "Dockerfile:2", ("tool", ""))
        assert one.cells == ("tool@linux/amd64", "tool@linux/arm64")
        assert one.source[1] == (2, "RUN make")


def test_long_commands_that_were_ended_by_others_are_no_failures() -> None:
    seen = bake()
    ended = "did not complete successfully: exit code: 1: context canceled: context canceled"
    own = "did not complete successfully: exit code: 137"
    take(
        seen,
        plan(),
        {"vertexes": [vertex(2, "", 0, 1, error=f'process "{"x" * 5_000}" {ended}')]},
        {"vertexes": [vertex(5, "", 0, 2, error=f'process "{"x" * 5_000}" {own}')]},
    )
    (found,) = failures(seen, str)
    assert found.cells == ("app@linux/arm64",)
    assert len(found.error) < 2_100
    assert found.error.endswith(own)
    assert "lack of memory" in found.cause


def test_secrets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22-longer")
    monkeypatch.setenv("SHORT", "abc")
    (tmp_path / "key").write_text("-----BEGIN KEY-----\n  MIIEvAIBADANBg\nx\n")
    secrets = [
        {"id": "TOKEN"},
        {"id": "a", "env": "SHORT"},
        {"id": "b", "env": "GONE"},
        {"id": "c", "src": "key"},
        {"id": "d", "src": "gone"},
    ]
    masked = masking([{"secret": secrets}, {}], tmp_path)
    said = "abc hunter22-longer MIIEvAIBADANBg x"
    assert masked(said) == "abc *** *** x"
    assert masking([{}], tmp_path)(said) == said
