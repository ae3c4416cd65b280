"""The records of builds: what is written is read back, whatever became of the one who wrote it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.errors import EngineError
from buildx_tasks.records import builds
from buildx_tasks.records.builds import Begun, CellRecord, Done, Ran, Recorder, Seen
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.records.steps import Step, spread

if TYPE_CHECKING:
    from pathlib import Path

ARM, AMD = "app@linux/arm64", "app@linux/amd64"
CELLS = (CellRecord(AMD), CellRecord(ARM, is_emulated=True, fingerprint="f" * 64))
LINES = (
    Seen("sha256:1", "FROM alpine", vague=(AMD, ARM), place="1/3"),
    Seen("sha256:2", "RUN make", (ARM,), (), "build 2/3", "linux/arm64", "Dockerfile", 7, True),
    Seen("sha256:3", "COPY . .", (ARM,), inputs=("sha256:1", "sha256:2"), place="3/3"),
    Ran("sha256:1", 0.1, 0.2, is_cached=True),
    Ran("sha256:2", 0.25),
    Ran("sha256:2", 0.25, 74.5, bytes=12, error="exit code: 2"),
)


def recorded(root: Path, *lines: builds.Line) -> Recorder:
    recorder = Recorder(Ledger(root), CELLS, {"buildx": "0.29.1"})
    recorder.write(list(lines))
    return recorder


def only(root: Path) -> Path:
    (path,) = (root / ".buildx" / "builds").iterdir()
    return path


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"ran","digest":"sha256:1","started":-1e308,"ended":1e308}',
        '{"event":"ran","digest":"sha256:1","started":5,"ended":4}',
        '{"event":"ran","digest":"sha256:1","started":5,"bytes":-1}',
        '{"event":"ran","digest":"sha256:1","started":1e12}',
        '{"event":"done","outcome":"built","seconds":-5}',
        '{"event":"done","outcome":"built","seconds":1e300}',
    ],
)
def test_times_that_no_build_has_are_left_out(tmp_path: Path, line: str) -> None:
    recorder = recorded(tmp_path, *LINES)
    with only(tmp_path).open("a") as stream:
        stream.write(f"{line}\n")
    build = builds.read(tmp_path, recorder.id)
    assert (build.outcome, build.seconds) == ("unfinished", None)
    assert [one.ended for one in build.steps] == [0.2, 74.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged; remove it, or choose another with --build: there is none"),
        ("\x00\xff\n", "is damaged"),
        ('{"event":"done","outcome":"built","seconds":1}\n', "is damaged"),
        (
            '{"event":"begun","format":9,"cells":"of another shape"}\n',
            r"newer version .* \(format 9\)",
        ),
        ('{"event":"start","format":2}\n{"event":"begun","at":"x"}\n', "newer version"),
    ],
)
def test_files_that_say_no_build(tmp_path: Path, text: str, words: str) -> None:
    recorder = recorded(tmp_path, *LINES)
    only(tmp_path).write_bytes(text.encode("latin-1"))
    with pytest.raises(EngineError, match=words):
        builds.read(tmp_path, recorder.id)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, *LINES)
    recorder.done(builds.FAILED, [ARM])
    assert builds.recent(tmp_path) == [recorder.id]
    build = builds.read(tmp_path, recorder.id)
    assert build.seconds is not None
    assert 0 <= build.seconds < 60
    assert (build.outcome, build.failed, build.cells) == ("failed", (ARM,), CELLS)
    assert build.versions == {"buildx": "0.29.1"}
    assert build.at.endswith("+00:00")
    assert build.steps == (
        Step((ARM,), "FROM alpine", "sha256:1", "1/3", started=0.1, ended=0.2, is_cached=True),
        Step(
            cells=(ARM,),
            name="RUN make",
            digest="sha256:2",
            place="build 2/3",
            platform="linux/arm64",
            dockerfile="Dockerfile",
            line=7,
            started=0.25,
            ended=74.5,
            is_emulated=True,
            bytes=12,
            error="exit code: 2",
        ),
    )
    assert [step.instruction for step in build.steps] == ["FROM", "RUN"]


@pytest.mark.parametrize("torn", range(2, 60, 7))
def test_a_killed_build_is_readable(tmp_path: Path, torn: int) -> None:
    recorder = recorded(tmp_path, *LINES)
    path = only(tmp_path)
    path.write_bytes(path.read_bytes()[:-torn])
    build = builds.read(tmp_path, recorder.id)
    assert (build.outcome, build.seconds) == ("unfinished", None)
    assert [step.ended for step in build.steps] == [0.2, None]
    recorder.done(builds.BUILT)


def test_two_bakes_of_one_build_keep_their_steps(tmp_path: Path) -> None:
    again = Seen("sha256:2", "RUN make", (ARM,), bake=2)
    recorder = recorded(tmp_path, *LINES, again, Ran("sha256:2", 80, 80, is_cached=True, bake=2))
    recorder.done(builds.BUILT)
    steps = builds.read(tmp_path, recorder.id).steps
    assert [(s.digest, s.is_cached, s.bake) for s in steps[1:]] == [
        ("sha256:2", False, 1),
        ("sha256:2", True, 2),
    ]


def test_only_the_last_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for _ in range(builds.MOST + 3):
        recorder = recorded(tmp_path)
        recorder.done(builds.BUILT)
        ids.append(recorder.id)
    kept = builds.recent(tmp_path)
    assert len(kept) == builds.MOST
    assert set(kept) < set(ids)
    assert kept == sorted(kept, reverse=True)
    assert ids[-1][:19] == kept[0][:19]
    monkeypatch.setattr(builds, "_ALL", 6_000_000)
    for path in (tmp_path / ".buildx" / "builds").iterdir():
        path.write_bytes(b"\n" * 400_000)
    recorded(tmp_path).done(builds.BUILT)
    assert len(builds.recent(tmp_path)) == 3


def test_a_record_has_its_bounds(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    long = Seen("sha256:1", "R" * 100_000, (AMD,))
    for _ in range(60):
        recorder.write([long])
    recorder.done(builds.BUILT, ["x" * 200_000])
    assert only(tmp_path).stat().st_size < 5_000_000
    build = builds.read(tmp_path, recorder.id)
    assert (build.outcome, build.is_cut) == ("built", True)


def test_none_but_the_owner_reads_it(tmp_path: Path) -> None:
    recorded(tmp_path).done(builds.BUILT)
    path = only(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_is_refused(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    path = only(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="is a symbolic link"):
        builds.read(tmp_path, recorder.id)
    with pytest.raises(EngineError, match="is a symbolic link"):
        recorded(tmp_path)


@pytest.mark.parametrize("identity", ["", "x", "../ledger", "20260101-000000-000-0000\n"])
def test_unknown_ids(tmp_path: Path, identity: str) -> None:
    with pytest.raises(EngineError, match="invoke build records one"):
        builds.read(tmp_path, identity)
    recorder = recorded(tmp_path)
    with pytest.raises(EngineError, match=f"there is: {recorder.id}"):
        builds.read(tmp_path, identity)


def test_a_newer_form_is_refused(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    only(tmp_path).write_text('{"event":"begun","at":"","format":2}\n')
    with pytest.raises(EngineError, match=r"newer version of buildx-tasks \(format 2\)"):
        builds.read(tmp_path, recorder.id)


def test_a_full_disk_fails_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = recorded(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        recorder.write(LINES)
        recorder.write(LINES)
    recorder.done(builds.BUILT)
    said = capsys.readouterr().err
    assert said == (
        "warning: the build is not recorded: No space left on device; make room or allow it\n"
    )
    assert builds.read(tmp_path, recorder.id).outcome == "unfinished"


@given(st.binary(max_size=200))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("root")
    recorder = recorded(root)
    path = only(root)
    path.write_bytes(path.read_bytes() + data)
    assert builds.read(root, recorder.id).cells == CELLS


def test_the_cells_of_a_step_are_those_that_need_it() -> None:
    inputs = {"image": ["copy"], "copy": ["build", "base"], "build": ["base", "gone"]}
    inputs["base"] = ["image"]  # BuildKit has no circles; a record that was typed may
    own = {"image": [AMD], "build": [ARM], "base": []}
    found = spread(own, {"base": [AMD, ARM], "context": [AMD, ARM]}, inputs)
    assert found == {
        "image": {AMD, ARM},
        "copy": {AMD, ARM},
        "build": {AMD, ARM},
        "base": {AMD, ARM},
        "gone": {AMD, ARM},
        "context": {AMD, ARM},
    }
    assert spread({"a": [AMD], "b": [ARM]}, {}, {"a": ["c"], "b": ["c"]}) == {
        "a": {AMD},
        "b": {ARM},
        "c": {AMD, ARM},
    }


def test_the_lines_are_as_documented(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, *LINES)
    recorder.done(builds.BUILT)
    events = [type(line) for line in builds._lines(only(tmp_path).read_bytes())]
    assert events == [Begun, Seen, Seen, Seen, Ran, Ran, Ran, Done]
