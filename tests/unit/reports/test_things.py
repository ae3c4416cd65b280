"""Things that a task is at: told by who does them, from any thread, and shown line by line."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.machine.things import Things
from buildx_tasks.reports import things
from buildx_tasks.reports.live import Row

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_thing_has_a_line() -> None:
    told = Things("asked for", ["a", "b", "c"])
    now = time.monotonic()
    with told.at("b", "is read"), suppress(ValueError), told.at("c", "is asked for"):
        rows, total, _ = things.frame(told, now + 3.2)
        assert [(one.kind, one.name, one.what) for one in rows] == [
            ("running", "b", "is read"),
            ("running", "c", "is asked for"),
            ("waiting", "a", "waits"),
        ]
        assert rows[2] == Row("waiting", "a", "waits")
        assert total == "0 of 3 asked for, 3.2 s"
        assert told.label() == "0 of 3 asked for; b, c"
        raise ValueError
    # What was broken off is not done.
    assert told.label() == "1 of 3 asked for; c"
    with told.at("b", "is read once more"):
        assert told.count == "0 of 3 asked for"
    with told.at("c", ""), told.at("d", ""), told.at("a", ""), told.at("e", ""):
        assert told.label() == "1 of 5 asked for; c, d, a, …"
    assert told.label() == "5 of 5 asked for"


def test_many_threads() -> None:
    told = Things("asked for", map(str, range(100)))

    def ask(number: int) -> None:
        with told.at(str(number), "x"):
            things.frame(told, 0.0)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(100)))
    assert told.count == "100 of 100 asked for"


def test_a_display_is_only_where_some_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("buildx_tasks.reports.live.is_shown", lambda: True)
    with things.shown(Things("read")):
        pass
    assert terminal.getvalue() == ""
    with things.shown(Things("read", ["x"])):
        pass
    assert "0 of 1 read" in terminal.getvalue()
    monkeypatch.setattr("buildx_tasks.reports.live.is_shown", lambda: False)
    with things.shown(Things("read", ["y"])):
        pass
    assert "y" not in terminal.getvalue()


def test_a_project_tells_who_shows_it(tmp_path: Path) -> None:
    from buildx_tasks.language.config import Emulators
    from buildx_tasks.language.targets import Config
    from buildx_tasks.workspace import Workspace

    workspace = Workspace(tmp_path / "buildx.toml", Config({}, {}, None, Emulators()))
    with workspace.things("read", ["x"]) as told, told.at("x", "is read"):
        assert told.label() == "0 of 1 read; x"
