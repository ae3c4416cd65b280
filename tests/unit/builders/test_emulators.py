"""What registers emulators: as root, with sudo, or by somebody who may."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.builders import emulators, setup
from buildx_tasks.builders.reconcile import Change, Otherwise
from buildx_tasks.errors import EngineError
from buildx_tasks.language import loading
from buildx_tasks.language.config import Emulators
from buildx_tasks.machine import emulator_faults
from buildx_tasks.platforms import parse
from buildx_tasks.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

LACKING = [parse("linux/arm64")]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any emulator, whose kernel's registry is not mounted."""
    monkeypatch.setattr(emulators, "BINFMT", tmp_path)
    monkeypatch.setattr(emulators, "_SYSTEMD_BINFMT", tmp_path / "none")
    monkeypatch.setattr(emulators, "_UPDATE_BINFMTS", tmp_path / "none")
    return tmp_path


def test_what_is_not_installed_is_said_with_its_command(bare: Path) -> None:
    assert bare.is_dir()
    with pytest.raises(EngineError, match="as root: apt-get install qemu-user-static"):
        emulators.registration(Emulators(), LACKING)


def test_what_needs_root_is_said_with_its_commands(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "status").write_text("disabled\n")
    (bare / "qemu-aarch64").write_text("enabled\n")
    script = f"echo 1 > {bare}/status"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    as_root = emulators.registration(Emulators(), LACKING)
    words, things = "register emulators for linux/arm64", ("emulator for linux/arm64",)
    assert as_root == Change(words, (("sh", "-c", script),), things=things)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    change = emulators.registration(Emulators(), LACKING)
    assert change.words.endswith(f"with sudo: sh -c '{script}'")
    assert change.commands == (("sudo", "sh", "-c", script),)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EngineError, match="there is no sudo; as root run: sh -c 'echo 1"):
        emulators.registration(Emulators(), LACKING)


def test_an_image_registers_them_without_root(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.is_dir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    change = emulators.registration(Emulators(source="image", image="binfmt:v9"), LACKING)
    argv = ("docker", "run", "--privileged", "--rm", "binfmt:v9", "--install", "arm64")
    assert change.commands == (argv,)
    assert "sudo" not in change.words
    # What a person pinned is never loosened.
    assert change.otherwise is None
    change = emulators.registration(Emulators(source="image"), LACKING)
    assert change.otherwise is not None
    assert change.otherwise.word in change.commands[0]
    assert change.otherwise.word == f"{change.otherwise.other}@{emulator_faults.DIGEST}"


def test_where_the_default_digest_cannot_be_had_the_tag_is_taken_and_said(tmp_path: Path) -> None:
    file = tmp_path / "buildx.toml"
    file.write_text("[target.a]\n")
    said: list[str] = []
    otherwise = Otherwise("x@1 cannot be had; instead x", "x@1", "x")
    script = 'test "$0" = x || { echo "$0: manifest unknown" >&2; exit 125; }'
    change = Change("register", (("sh", "-c", script, "x@1"),), otherwise=otherwise)
    workspace = Workspace(file, loading.load(file))
    setup.carry_out(workspace, change, said.append)
    assert said == ["x@1 cannot be had; instead x (x@1: manifest unknown)"]
    with pytest.raises(EngineError, match="register: x@1: manifest unknown; docker buildx says"):
        setup.carry_out(workspace, change._replace(otherwise=None), said.append)
    assert len(said) == 1
