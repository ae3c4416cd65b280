from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from buildx_tasks.building import location
from buildx_tasks.building.bake import no_archive_left
from buildx_tasks.planning.cells import TargetPlan

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_only_the_builds_own_archives_go(tmp_path: Path) -> None:
    left, own, exported = (tmp_path / name for name in ("a.image.tar", "b.image.tar", "mine.tar"))
    left.touch()
    exported.touch()
    with no_archive_left(tmp_path, "*.image.tar"):
        assert not left.exists()
        own.touch()
    assert list(tmp_path.iterdir()) == [exported]


def test_a_ledger_that_is_read_anew_has_no_older_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"event": "built", "target": "app", "at": "now", "platforms": [], "tags": ["app:v1"]}
    monkeypatch.setattr(location, "_whole", lambda *_: "image")
    ledger = SimpleNamespace(read=lambda: [dict(entry)])
    target = TargetPlan("app", cast("Any", None), (), ())
    workspace = cast("Any", SimpleNamespace(ledger=ledger))
    assert cast("Any", location.look_up(workspace, target, ())) == "image"
    assert capsys.readouterr().err == ""
