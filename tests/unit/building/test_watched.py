"""Streams of BuildKit, as they were seen and as nobody should send them, and what is made of them."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from support.streams import EPOCH, bake, log, plan, take, vertex

from buildx_tasks.building.failures import failures
from buildx_tasks.engine import statuses
from buildx_tasks.records.builds import Ran, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.building.watched import Event


def said(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(one.cell.id, one.status) for one in events]


def test_a_build_from_begin_to_end() -> None:
    seen = bake()
    lines, events = take(seen, plan())
    assert [type(line) for line in lines] == [Seen] * 6
    assert events == []
    cell = seen.cells["app@linux/arm64"]
    assert (cell.total, cell.done, cell.status) == (3, 0, "waiting")
    lines, events = take(
        seen,
        {"vertexes": [vertex(4, "[linux/arm64 1/3] FROM alpine:3.22", 0, 1)]},
        {"vertexes": [vertex(4, "[linux/arm64 1/3] FROM alpine:3.22", 1, 1, cached=True)]},
        {"vertexes": [vertex(5, "[linux/arm64 2/3] RUN make", 1)]},
    )
    assert said(events) == [("app@linux/arm64", "running")]
    assert (cell.done, cell.cached) == (1, 1)
    assert cell.current
    assert cell.current.what.name == "RUN make"
    assert cell.current.what.is_emulated
    runs = [line for line in lines if isinstance(line, Ran)]
    assert [(one.digest, one.started, one.ended) for one in runs][-1] == ("sha256:5", 1001.0, None)
    status = {"vertex": "sha256:5", "id": "x", "name": "downloading", "current": 700}
    take(seen, {"statuses": [status, {**status, "current": 900}, {**status, "name": "extracting"}]})
    assert cell.bytes == 900
    ended = [vertex(5, "", 1, 60), vertex(6, "", 60, 61)]
    take(seen, {"vertexes": ended})
    assert (cell.done, cell.status) == (3, "running")
    _, events = take(seen, {"vertexes": [vertex(7, "exporting to image", 61, 62)]})
    assert said(events) == [("app@linux/arm64", "built")]
    assert said(seen.close(is_built=True)) == [("app@linux/amd64", "built")]
    assert seen.close(is_built=True) == []


def test_lines_without_an_end_are_one_line() -> None:
    seen = bake()
    take(seen, plan(), {"vertexes": [vertex(5, "", 0)]})
    for _ in range(5):
        take(seen, log(5, "x" * 70_000))
    take(seen, log(5, "\n"), *(log(5, f"{'.' * 30_000}{n}%\r") for n in range(5)))
    take(seen, log(5, "done\nlast"))
    long, bar, last = seen.log_of(seen.steps["sha256:5"])
    assert long == "x" * 500 + "…"
    assert (bar, last) == ("done", "last")
    assert seen.steps["sha256:5"].printed == 2


def test_warnings_are_told_once_with_their_targets() -> None:
    seen = bake(["app", "tool"])
    short = base64.b64encode(b"MaintainerDeprecated: hunter22 (line 2)").decode()
    take(
        seen,
        {"vertexes": [vertex(1, "[app internal] load build definition from Dockerfile", 0, 1)]},
        {"vertexes": [vertex(2, "[tool internal] load build definition from Dockerfile", 0, 1)]},
        {"warnings": [{"vertex": "sha256:2", "level": 1, "short": short, "url": "x"}]},
        {
            "warnings": [
                {"vertex": "sha256:1", "short": short},
                {"vertex": "sha256:1", "short": short},
            ]
        },
        {"warnings": [{"vertex": "sha256:9", "short": ""}]},
    )
    assert list(seen.warnings()) == ["app, tool: MaintainerDeprecated: *** (line 2)"]


def test_several_failures_and_what_they_stop() -> None:
    seen = bake(("one", "two"))
    names = [
        f"[{name} linux/{arch} 2/3] RUN make"
        for name in ("one", "two")
        for arch in ("amd64", "arm64")
    ]
    take(seen, {"vertexes": [vertex(n, name, 0) for n, name in enumerate(names)]})
    take(
        seen,
        *(log(0, f"line {number}\n") for number in range(30)),
        log(0, "50%\r100%\r\nhunter"),
        log(0, "22 is it"),
    )
    failed = {"error": 'process "make hunter22" did not complete successfully: exit code: 2'}
    killed = {"error": "exit code: 137: context canceled: context canceled"}
    other = {"error": "exec /bin/sh: exec format error"}
    _, events = take(
        seen,
        {
            "vertexes": [
                vertex(0, names[0], 0, 1, **failed),
                vertex(1, names[1], 0, 1, **killed),
                vertex(3, names[3], 0, 2, **other),
            ]
        },
    )
    assert said(events) == [
        ("one@linux/amd64", "failed"),
        ("one@linux/arm64", "stopped"),
        ("two@linux/arm64", "failed"),
    ]
    first, second = failures(seen, str)
    assert (first.cells, first.where) == (("one@linux/amd64",), "Dockerfile:2")
    assert first.source == ((1, "FROM alpine:3.22"), (2, "RUN make"), (3, "RUN test"))
    assert first.log[0] == "line 12"
    assert first.log[-2:] == ("100%", "*** is it")
    assert (len(first.log), first.printed) == (20, 32)
    assert "hunter22" not in first.error
    assert first.again == ("one", "linux/amd64")
    assert first.cause == ""
    assert "no emulator" in second.cause
    assert said(seen.close(is_built=False)) == [("two@linux/amd64", "stopped")]


def test_a_shared_step_is_of_all_cells_that_need_it() -> None:
    seen = bake()
    take(
        seen,
        {"vertexes": [vertex(1, "[linux/amd64 build 2/3] COPY . .", inputs=["sha256:9"])]},
        {"vertexes": [vertex(2, "[linux/amd64->arm64 build 3/3] RUN make", inputs=["sha256:1"])]},
        {"vertexes": [vertex(9, "[internal] load build context")]},
        {"vertexes": [vertex(3, "[linux/amd64 build 3/3] RUN make", inputs=["sha256:1"])]},
    )
    shared = {"app@linux/amd64", "app@linux/arm64"}
    for digest, cells in (("1", shared), ("9", shared), ("2", {"app@linux/arm64"})):
        step = seen.steps[f"sha256:{digest}"]
        assert {one.id for one in seen.cells_of(step)} == cells
    assert seen.cells["app@linux/arm64"].total == 2


def test_what_was_carried_out_is_not_cached_because_another_target_has_it_then() -> None:
    seen = bake(("one", "two"))
    name = "linux/amd64 2/3] RUN make"
    take(
        seen,
        {"vertexes": [vertex(1, f"[one {name}", 0, 5)]},
        {"vertexes": [vertex(1, f"[two {name}", 6, 6, cached=True)]},
    )
    step = seen.steps["sha256:1"]
    assert not step.is_cached
    assert [one.id for one in seen.cells_of(step)] == ["one@linux/amd64", "two@linux/amd64"]


def test_times_without_a_step() -> None:
    seen = bake()
    take(seen, {"vertexes": [vertex(1, "a", 1, 2), vertex(2, "b", 1.5, 3), vertex(3, "c", 4, 5)]})
    began = EPOCH + 1000
    found = [(start - began, end - began) for start, end in seen.rest(began, began + 5.01)]
    assert [(round(start, 3), round(end, 3)) for start, end in found] == [(0, 1), (3, 4)]
    take(seen, {"vertexes": [vertex(4, "d", 5.06)]})
    assert len(list(seen.rest(began, began + 9))) == 3


def test_times_before_the_bake_are_moved_into_it() -> None:
    seen = bake()
    take(seen, {"vertexes": [vertex(1, "[context x] x", -1_000_000, -999_999)]})
    step = seen.steps["sha256:1"]
    assert step.started == step.ended == seen.began


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=10) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    "vertexes statuses logs digest name inputs started completed error cached data "
                    "vertex id current".split()
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_any_line_is_status_or_text(found: Any) -> None:
    status = statuses.of_line(json.dumps(found).encode())
    if status is not None:
        bake().take(status)


def test_plain_text_is_no_status() -> None:
    for line in (b"", b"ERROR: x", b"{", b'{"vertexes": 1}', b'{"vertexes":[{"digest":"\xff"}]}'):
        assert statuses.of_line(line) is None


def test_fifty_targets_on_four_platforms() -> None:
    """200 cells: what a line takes does not grow with them."""
    names = [f"target-{number}" for number in range(50)]
    where = ["amd64", "arm64", "riscv64", "ppc64le"]
    seen = bake(names, where)
    messages = []
    for number, name in enumerate(names):
        for arch in where:
            prefix, own = f"[{name} linux/{arch}", f"{number}-{arch}"
            steps = [
                vertex(0, f"{prefix} 1/8] FROM alpine", 0, 0)
                | {"digest": f"sha256:{arch}", "cached": True}
            ]
            for step in range(2, 9):
                before = f"{own}-{step - 1}" if step > 2 else arch
                steps.append(
                    vertex(0, f"{prefix} {step}/8] RUN make", step, step + 1)
                    | {"digest": f"sha256:{own}-{step}", "inputs": [f"sha256:{before}"]}
                )
            messages += [{"vertexes": [one]} for one in steps]
        messages.append({"vertexes": [vertex(number, f"[{name}] exporting to image", 10, 11)]})
    statuses_ = [statuses.of_line(json.dumps(one).encode()) for one in messages]
    began = time.process_time()
    events = [event for one in statuses_ if one for event in seen.take(one)[1]]
    took = time.process_time() - began
    assert Counter(one.status for one in events) == {"running": 200, "built": 200}
    assert all((one.total, one.done, one.cached) == (8, 8, 1) for one in seen.cells.values())
    assert took < 5, "1,650 messages"


def test_a_cache_that_is_not_there_fails_no_cell() -> None:
    seen = bake(where=("amd64",))
    away = {"error": "localhost:5000/app:cache: not found"}
    _, events = take(
        seen,
        {"vertexes": [vertex(9, "importing cache manifest from localhost:5000/app:cache", 0, 1)]},
        {"vertexes": [vertex(9, "importing cache manifest from x", 0, 1, **away)]},
        {"vertexes": [vertex(1, "[2/3] RUN make", 1, 2), vertex(7, "exporting to image", 2, 3)]},
    )
    assert said(events)[-1] == ("app@linux/amd64", "built")
    assert list(failures(seen, lambda _: "")) == []


def test_a_secret_is_masked_before_a_name_is_cut() -> None:
    seen = bake(where=("amd64",))
    lines, _ = take(seen, {"vertexes": [vertex(1, f"[2/3] RUN {'x' * 490} hunter22", 0, 1)]})
    assert "hunt" not in "".join(one.name for one in lines if isinstance(one, Seen))


def test_each_line_of_a_record_has_what_is_new() -> None:
    names = [f"t{number}" for number in range(20)]
    seen = bake(names)
    steps = [{"vertexes": [vertex(1, f"[{name} linux/amd64 2/3] RUN make", 0)]} for name in names]
    lines, _ = take(seen, *steps)
    cells = [one.cells for one in lines if isinstance(one, Seen)]
    assert sorted(cells) == sorted((f"{name}@linux/amd64",) for name in names)
