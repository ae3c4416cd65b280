"""Bake, which opens the archives that it only prints, does not empty a person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildx_tasks.convert.standing import archives_aside

BAKE = """
target "a" {
  output = ["type=tar,dest=out/a.tar", "type=oci,dest=${FOLDER}/b-${TAG}.tar"]
}
target "b" { output = [{ type = "docker", dest = "c.tar" }] }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


def files() -> dict[str, str]:
    return {str(one): one.read_text() for one in sorted(Path().rglob("*")) if one.is_file()}


def test_archives_are_as_they_were() -> None:
    before = {"c.tar": "c", "out/a.tar": "a", "out/b-1.tar": "b", "out/other": "o"}
    for name, text in before.items():
        Path(name).write_text(text)
    with archives_aside([BAKE]):
        assert "out/a.tar" not in files()
        for name in ("out/a.tar", "out/b-1.tar", "c.tar"):
            Path(name).write_text("")
    assert files() == before


def test_what_bake_made_is_gone() -> None:
    with archives_aside([BAKE]):
        Path("c.tar").write_text("")
        Path("out/b-2.tar").write_text("")
    assert files() == {}


def test_they_come_back_where_asking_fails() -> None:
    Path("c.tar").write_text("c")
    with pytest.raises(KeyboardInterrupt), archives_aside([BAKE]):
        raise KeyboardInterrupt
    assert files() == {"c.tar": "c"}


@pytest.mark.parametrize("text", ['dest = ""', 'dest="${X}"', "dest=/", "dest=.", "dest=..", ""])
def test_no_place_is_no_archive(text: str) -> None:
    Path("c.tar").write_text("c")
    with archives_aside([text]):
        assert files() == {"c.tar": "c"}
