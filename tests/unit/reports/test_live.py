"""Frames as they are laid out: nothing is wider or higher than the terminal, the important first."""

from __future__ import annotations

import io
import sys

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.machine import output
from buildx_tasks.reports import live
from buildx_tasks.reports.live import STYLES, Frame, Row, _encodable, laid_out

FACTS = ("12.3 s", "emulated", "2 cached", "14.1 MB")
FRAME = Frame(
    (
        Row("failed", "app@linux/arm64", "4/9 build RUN make", ("3.0 s", "emulated")),
        Row("log", "make: *** [all] Error 1"),
        Row("running", "app@linux/amd64", "5/9 build RUN go build ./... \x1b[2J and more", FACTS),
        Row("waiting", "other@linux/amd64", "waits"),
        Row("waiting", "other@linux/arm64", "waits"),
    ),
    "0 of 4 built, 1 failed, 1 running, 2 waiting, 12.5 s",
    "more cells",
)


def shown(columns: int, lines: int = 20) -> list[str]:
    return [line.plain for line in laid_out(FRAME, columns, lines)]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_does_not_have_is_no_wider(encoding: str) -> None:
    frame = Frame(
        [Row("running", "日本@linux/arm64", "RUN " + "é" * 200, FACTS)], "0 of 4 built … ʇ"
    )
    for line in laid_out(frame, 60, 20):
        found = _encodable(line, encoding)
        assert found.plain.encode(encoding)
        assert found.cell_len <= 60
        assert found.style == line.style


def test_a_frame() -> None:
    assert shown(100) == [
        "x app@linux/arm64    4/9 build RUN make" + " " * 46 + "emulated, 3.0 s",
        "  | make: *** [all] Error 1",
        r"| app@linux/amd64    5/9 build RUN go build ./... \x1b[2J and more"
        "        2 cached, emulated, 12.3 s",
        "  other@linux/amd64  waits",
        "  other@linux/arm64  waits",
        "0 of 4 built, 1 failed, 1 running, 2 waiting, 12.5 s",
    ]


def test_of_few_columns_the_facts_go_first() -> None:
    assert shown(60)[2] == "| app@linux/amd64    5/9 build RUN go bui…  emulated, 12.3 s"
    assert shown(44)[2].endswith("12.3 s")
    assert shown(20) == ["0 of 4 built, 1 fai…"]


@pytest.mark.parametrize(("lines", "last"), [(6, "other@linux/arm64"), (5, "… 2 more cells")])
def test_what_has_no_room_is_counted(lines: int, last: str) -> None:
    found = shown(100, lines)
    assert len(found) == lines
    assert found[-2].strip().startswith(last)
    assert found[-1].startswith("0 of 4")


def test_of_three_lines_only_the_sum_is_shown() -> None:
    assert shown(100, 3) == [FRAME.total]


TEXT = st.text(max_size=80)
ROW = st.builds(
    Row, st.sampled_from([*STYLES, "running", "stopped"]), TEXT, TEXT, st.lists(TEXT, max_size=4)
)


@given(st.lists(ROW, max_size=30), TEXT, st.integers(1, 250), st.integers(1, 60))
def test_nothing_is_wider_or_higher(rows: list[Row], total: str, columns: int, lines: int) -> None:
    drawn = laid_out(Frame(rows, total), columns, lines)
    assert len(drawn) <= max(lines, 1)
    assert all(line.cell_len <= columns for line in drawn)
    assert all("\n" not in line.plain and "\x1b" not in line.plain for line in drawn)


class Screen(io.StringIO):
    """A terminal: what is written shows on its screen."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.Stream(self.screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_printed_meanwhile_stands_above(
    monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    terminal = Screen()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    frame = Frame([Row("running", "one"), Row("waiting", "two")], "0 of 2")
    drawn = ["two", "0 of 2"]
    with output.enduring("push"):
        print("a program's last words", end="", file=getattr(sys, stream), flush=True)
    with output.enduring("push"), live.display(lambda: frame, alone=False) as shown:
        assert terminal.lines()[0] == "a program's last words"
        assert terminal.lines()[2:] == ["  two", "0 of 2"]
        terminal.screen.reset()
        shown.refresh(now=True)
        print("a tag  moved", file=getattr(sys, stream), flush=True)
        assert terminal.lines() == ["a tag  moved"]
        shown.refresh(now=True)
        assert [line.strip() for line in terminal.lines()[2:]] == drawn
        # Nothing is drawn into a line that is not yet at its end.
        print("half a", end="", file=getattr(sys, stream), flush=True)
        shown.refresh(now=True)
        assert terminal.lines() == ["a tag  moved", "half a"]
        print(" line", file=getattr(sys, stream), flush=True)
        shown.say("said")
        assert [line.strip() for line in terminal.lines()[4:]] == drawn
    assert terminal.lines() == ["a tag  moved", "half a line", "said"]
    assert not terminal.screen.cursor.hidden
