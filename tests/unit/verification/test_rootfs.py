from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

from buildx_tasks.verification import walk
from buildx_tasks.verification.rootfs import Unpacking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINK, HARD, FOLDER, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE


def unpacked(folder: Path, *members: tuple[str, dict[str, Any], bytes]) -> Path:
    """Unpack an archive of (name, attributes, content) into a folder inside ``folder``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, attributes, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o644
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    place = folder / "rootfs"
    place.mkdir()

    def export() -> Iterator[bytes]:
        yield buffer.getvalue()

    assert walk.look(export, [Unpacking(place)])[0].problems == ()
    return place


def test_files_folders_and_links(tmp_path: Path) -> None:
    place = unpacked(
        tmp_path,
        ("usr", {"type": FOLDER, "mode": 0o555}, b""),
        ("usr/app", {"mode": 0o4755}, b"program"),
        ("usr/same", {"type": HARD, "linkname": "usr/app"}, b""),
        ("bin", {"type": LINK, "linkname": "usr"}, b""),
        ("abs", {"type": LINK, "linkname": "/etc/passwd"}, b""),
        ("empty/deep", {"type": FOLDER}, b""),
        ("dev/null", {"type": DEVICE}, b""),
    )
    assert (place / "usr/app").read_bytes() == (place / "usr/same").read_bytes() == b"program"
    assert (place / "usr/app").stat().st_mode & 0o7777 == 0o755
    assert str((place / "abs").readlink()) == "/etc/passwd"
    assert (place / "bin" / "app").read_bytes() == b"program"
    assert (place / "empty" / "deep").is_dir()
    assert not (place / "dev" / "null").exists()


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    place = unpacked(
        tmp_path,
        ("out", {"type": LINK, "linkname": str(tmp_path)}, b""),
        ("out/written", {}, b"bad"),
        ("../up", {}, b"bad"),
        ("a/../../up", {}, b"bad"),
        ("to", {"type": LINK, "linkname": str(tmp_path / "through")}, b""),
        ("to", {}, b"file in place of the link"),
        ("hard", {"type": HARD, "linkname": "../../outside"}, b""),
    )
    assert {path.name for path in tmp_path.iterdir()} == {"rootfs"}
    assert not (place / "out" / "written").is_symlink()
