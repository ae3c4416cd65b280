"""Why a step is likely to have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.building.failures import _source, cause
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
