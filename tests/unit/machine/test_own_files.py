"""Files of ours: whole, for their owner alone, and nowhere that another one chose."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from buildx_tasks.errors import EngineError
from buildx_tasks.machine import made
from buildx_tasks.machine.files import PUBLIC, open_own, own_folder, refuse_links, write_file
from buildx_tasks.machine.locks import locked
from buildx_tasks.machine.made import Origin, Record
from buildx_tasks.records.ledger import Ledger

ROOT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "buildx-tasks"


def test_what_is_not_asked_for_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_file(tmp_path / "bake.json", "{}")
    write_file(tmp_path / "report.xml", "<a/>", PUBLIC)
    assert (mode(tmp_path / "bake.json"), mode(tmp_path / "report.xml")) == (0o600, 0o644)
    (tmp_path / "old").mkdir(mode=0o755)
    own_folder(tmp_path / "old")
    own_folder(tmp_path / "new" / "inner")
    assert mode(tmp_path / "old") == mode(tmp_path / "new" / "inner") == 0o700
    with locked(tmp_path / "a.lock"):
        assert mode(tmp_path / "a.lock") == 0o600


def test_a_lock_empties_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with locked(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "precious"


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        with pytest.raises(EngineError, match="link is a symbolic link, which is not followed"):
            open_own(tmp_path / "link", flags)
    with pytest.raises(EngineError, match="is a symbolic link"), locked(tmp_path / "link"):
        pass
    with pytest.raises(EngineError, match="is a symbolic link"):
        own_folder(tmp_path / "link")
    with pytest.raises(EngineError, match="is a symbolic link"):
        refuse_links(tmp_path)
    assert not (tmp_path / "nowhere").exists()
    os.mkfifo(tmp_path / "pipe")  # nobody writes: it is not waited for
    with pytest.raises(EngineError, match="is no file; move it away"):
        open_own(tmp_path / "pipe", os.O_RDONLY)
    (tmp_path / ".buildx").symlink_to(tmp_path)
    for ask in (Ledger(tmp_path).read, Ledger(tmp_path).prepare):
        with pytest.raises(EngineError, match="buildx is a symbolic link"):
            ask()


def test_a_record_lives_as_long_as_its_process(tmp_path: Path, state: Path) -> None:
    record = Record.begun(tmp_path)
    record.at(Origin("engine", 5.5))
    record.making("container", "one")
    record.made("one", "id-1")
    record.making("container", "two")
    record.keep("id-1", "kept-one")
    assert mode(state / "sessions" / record.id) == 0o600
    assert list(made.left()) == []
    (read,) = made.of_project(tmp_path)
    assert read.engine == Origin("engine", 5.5)
    assert [(one.name, one.id, one.kept) for one in read.things("container")] == [
        ("two", "", False),
        ("kept-one", "id-1", True),
    ]
    # By its id; by its name while it has none; nothing that was there before.
    assert read.find("container", "id-1", "any", 6)
    assert read.find("container", "id-2", "two", 6)
    assert not read.find("container", "id-3", "kept-one", 6)
    assert not read.find("network", "id-1", "two", 6)
    assert not read.find("container", "id-1", "any", 4)
    record.close(forget=False)
    assert [one.id for one in made.left()] == [record.id]
    for one in made.left():
        one.close(forget=True)
    assert list((state / "sessions").iterdir()) == []


def test_a_record_that_was_torn_is_read_as_far_as_it_goes(tmp_path: Path, state: Path) -> None:
    record = Record.begun(tmp_path)
    record.making("container", "one")
    record.close(forget=False)
    path = state / "sessions" / record.id
    path.write_bytes(path.read_bytes() + b'{"made":{"kind":"conta')
    (read,) = made.of_project(tmp_path)
    assert [one.name for one in read.things("container")] == ["one"]


def test_without_a_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")

    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(EngineError, match="there is no home folder; set XDG_STATE_HOME"):
        made.state_folder()


def test_bootstrap_opens_no_port() -> None:
    text = (ROOT / "bootstrap").read_text() + (ROOT / "bootstrap-shared.sh").read_text()
    assert re.findall(r"addr: *([0-9.a-z]*):", text) == ["127.0.0.1"]
    (started,) = re.findall(r"setsid dockerd ([^\n]*)", text)
    assert "-H" not in started
    assert "tcp:" not in text
    # Packages are taken as apt and pip verify them.
    for word in (
        "allow-unauthenticated",
        "trusted=yes",
        "trusted-host",
        "AllowInsecure",
        "curl -k",
    ):
        assert word.lower() not in text.lower()
    for line in re.findall(r"[^\n]*/tmp/[^\n]*", text):
        assert "mktemp" in line, line
