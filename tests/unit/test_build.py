from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.building.bake import no_archive_left

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_builds_own_archives_go(tmp_path: Path) -> None:
    left, own, exported = (tmp_path / name for name in ("a.image.tar", "b.image.tar", "mine.tar"))
    left.touch()
    exported.touch()
    with no_archive_left(tmp_path, "*.image.tar"):
        assert not left.exists()
        own.touch()
    assert list(tmp_path.iterdir()) == [exported]
