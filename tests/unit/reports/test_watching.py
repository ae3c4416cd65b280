"""What a person reads of a build: rows, lines, and failures at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.streams import EPOCH, bake, log, plan, take, vertex

from buildx_tasks.building.failures import Failure
from buildx_tasks.reports import watching

if TYPE_CHECKING:
    import pytest

FAILURE = Failure(
    ("app@linux/arm64",),
    ("app", "linux/arm64"),
    "Dockerfile",
    2,
    ((1, "FROM alpine:3.22"), (2, "RUN make \x1b[2J")),
    "2/2",
    "RUN make",
    "process did not complete successfully: exit code: 2",
    ("::error::x", "make: *** [all] Error 2 \x07"),
    40,
    "the disk is full; run invoke setup",
)


def test_failures_are_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    watching.print_failures(
        [FAILURE, FAILURE._replace(source=(), log=(), cause="", line=None)], ["-s", "A=b c"]
    )
    assert (
        capsys.readouterr().err
        == r"""
--- app@linux/arm64 failed at Dockerfile:2
     1 | FROM alpine:3.22
>    2 | RUN make \x1b[2J
it printed, after 38 other lines:
| : :error::x
| make: *** [all] Error 2 \x07
process did not complete successfully: exit code: 2
likely: the disk is full; run invoke setup
again: invoke build -t app -p linux/arm64 -s 'A=b c'

--- app@linux/arm64 failed at 2/2
RUN make
process did not complete successfully: exit code: 2
again: invoke build -t app -p linux/arm64 -s 'A=b c'
"""
    )


def test_the_rows_of_a_build() -> None:
    seen = bake()
    began = seen.began
    take(seen, plan(), {"vertexes": [vertex(5, "", 0)]}, log(5, "oh\nno\n"))
    moment = EPOCH + 1003
    rows, total, folded = watching.frame(seen, moment)
    assert [(r.kind, r.name, r.what, r.facts) for r in rows] == [
        ("running", "app@linux/arm64", "1/3 RUN make", ("3.0 s", "emulated")),
        ("waiting", "app@linux/amd64", "waits", ()),
    ]
    assert total.startswith("0 of 2 built, 1 running, 1 waiting, ")
    assert began >= EPOCH
    assert folded == "more cells"
    take(seen, {"vertexes": [vertex(5, "", 0, 2, error="exit code: 1")]})
    rows, total, _ = watching.frame(seen, moment)
    assert [(r.kind, r.name) for r in rows] == [
        ("failed", "app@linux/arm64"),
        ("log", "oh"),
        ("log", "no"),
        ("waiting", "app@linux/amd64"),
    ]
    assert rows[0].facts[0] == "2.0 s"
    assert total.startswith("0 of 2 built, 1 failed, 1 waiting, ")


def test_what_runs_comes_before_what_waits_for_its_export() -> None:
    seen = bake()
    ended = [vertex(number, "", 0, 1) for number in (1, 2, 3)]
    take(seen, plan(), {"vertexes": [*ended, vertex(5, "", 0)]})
    rows, _, _ = watching.frame(seen, EPOCH + 1003)
    assert [(one.name, one.what) for one in rows] == [
        ("app@linux/arm64", "1/3 RUN make"),
        ("app@linux/amd64", "3/3 to be exported"),
    ]


def test_the_lines_of_a_log() -> None:
    seen = bake()
    _, events = take(
        seen,
        plan(),
        {"vertexes": [vertex(1, "", 0, 1, cached=True), vertex(2, "", 1, 2), vertex(3, "", 2, 3)]},
        {"vertexes": [vertex(7, "exporting to image", 3, 4)]},
        {"vertexes": [vertex(5, "", 0, 2, error="exit code: 1")]},
    )
    lines = [watching.line(one) for one in events]
    assert lines[0] == "app@linux/amd64: started"
    assert lines[1].startswith("app@linux/amd64: built, 3 steps, 1 cached, ")
    assert lines[2:] == ["app@linux/arm64: FAILED at RUN make"]
    assert seen.close(is_built=False) == []


def test_a_log_has_what_a_step_printed_where_it_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildx_tasks.reports.live.is_shown", lambda: False)
    seen = bake()
    ended = vertex(9, "[build 2/3] RUN gen", 0, 2, error="exit code: 1")
    with watching.watcher(seen) as told:
        messages = [{"vertexes": [vertex(9, "[build 2/3] RUN gen", 0)]}, log(9, "1\n::error::2\n3")]
        for message in (*messages, {"vertexes": [ended]}):
            for event in take(seen, message)[1]:
                told.happened(event)
    assert capsys.readouterr().err.splitlines() == [
        "app@linux/amd64: started",
        "app@linux/arm64: started (emulated)",
        "app@linux/amd64: FAILED at RUN gen",
        "it printed:",
        "| 1",
        "| : :error::2",
        "| 3",
        "app@linux/arm64: FAILED at RUN gen",
    ]
