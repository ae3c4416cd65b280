"""Where the time of a recorded build went, by cell, as a whole, and step by step."""

from __future__ import annotations

import pytest
from support.recorded import AMD64, ARM64, large, small, step

from buildx_tasks.records import timeline
from buildx_tasks.records.timeline import kind_of, ranking, union


@pytest.mark.parametrize(
    ("name", "more", "kind"),
    [
        ("RUN go build", {"is_emulated": True}, "emulated"),
        ("RUN go build", {}, "native"),
        ("FROM alpine:3.22", {}, "bases"),
        ("load metadata for docker.io/library/alpine:3.22", {}, "bases"),
        ("importing cache manifest from x", {}, "bases"),
        ("alpine:3.22@sha256:1", {"place": "context alpine:3.22"}, "bases"),
        ("load from client", {"place": "context files"}, "files"),
        ("load from client", {"place": "internal"}, "files"),
        ("load build context", {"place": "internal"}, "files"),
        ("COPY a b", {}, "files"),
        ("exporting to image", {}, "export"),
        ("pushing layers", {}, "export"),
        ("start docker buildx bake", {}, "bake"),
        ("wait for BuildKit, which runs no step", {}, "bake"),
    ],
)
def test_what_a_step_is_a_matter_of(name: str, more: dict[str, object], kind: str) -> None:
    assert kind_of(step(name, 0, 1, ARM64, **more)) == kind


def test_each_moment_of_the_whole_counts_once() -> None:
    whole = timeline.of(small())
    assert whole.went == {
        "emulated": 74.0,
        "bases": 4.0,
        "files": 1.0,
        "export": 18.0,
        "bake": 1.0,
    }
    assert whole.other == pytest.approx(2.0)
    assert whole.share == pytest.approx(0.74)
    assert sum(whole.went.values()) + whole.other == pytest.approx(whole.seconds)


def test_a_cell_has_what_was_done_for_it() -> None:
    arm64, amd64 = timeline.of(small()).lanes
    assert (arm64.id, arm64.is_emulated, arm64.emulated) == (ARM64, True, 74.0)
    # 1 to 80 and 80 to 98; what bake does is of no cell, what was cached took nothing.
    assert arm64.busy == pytest.approx(97.0)
    assert (arm64.instructions, arm64.cached) == (4, 1)
    assert (amd64.id, amd64.emulated, amd64.share) == (AMD64, 0.0, 0.0)
    assert amd64.busy == pytest.approx(14.0 + 18.0)


def test_what_is_at_once_counts_once() -> None:
    whole = timeline.of(small())
    assert union(whole.lanes[0].bars) == whole.lanes[0].busy
    assert union([]) == 0


def test_the_ranking_says_how_long_it_takes_natively() -> None:
    first, second, *_ = ranking(small())
    assert (first.seconds, first.kind, first.step.cells) == (74.0, "emulated", (ARM64,))
    assert (first.native, first.native_cell) == (9.0, AMD64)
    assert (second.seconds, second.native) == (9.0, None)
    assert all(cost.step.instruction for cost in ranking(small()))
    assert not any(cost.step.is_cached for cost in ranking(small()))
    assert len(ranking(small(), 1)) == 1


def test_another_instruction_is_no_native_time() -> None:
    build = small()
    other = tuple(
        s._replace(line=9) if s.cells == (AMD64,) and s.instruction == "RUN" else s
        for s in build.steps
    )
    assert ranking(small(steps=other))[0].native is None
    # Where no line is known, the same text at the same place of the same target is.
    unplaced = tuple(s._replace(line=None, dockerfile="") for s in build.steps)
    assert ranking(small(steps=unplaced))[0].native == 9.0
    failed = tuple(
        s._replace(error="exit code 1") if s.cells == (AMD64,) else s for s in build.steps
    )
    assert ranking(small(steps=failed))[0].native is None


def test_what_took_no_part_is_left_out_behind_the_first_three() -> None:
    tiny = tuple(step(f"RUN true {n}", 5.0, 5.0 + n / 100, ARM64) for n in range(5))
    build = small(steps=(*small().steps, *tiny))
    assert [cost.seconds for cost in ranking(build)] == [74.0, 9.0, 2.0, 1.0]
    assert len(ranking(small(steps=tiny))) == 3


def test_a_build_that_was_killed_ends_where_the_last_is_known_of_it() -> None:
    steps = tuple(s._replace(ended=None) if s.is_emulated else s for s in small().steps[:6])
    build = small(seconds=None, outcome="unfinished", steps=steps)
    whole = timeline.of(build)
    assert whole.seconds == 15.0
    assert whole.lanes[0].emulated == pytest.approx(9.0)
    assert ranking(build)[0].seconds == 9.0
    nothing = timeline.of(small(seconds=None, steps=()))
    assert (nothing.seconds, nothing.share, nothing.went) == (0.0, 0.0, {})


@pytest.mark.parametrize("width", [1, 10, 100])
def test_a_bar_is_cut_into_equal_parts(width: int) -> None:
    whole = timeline.of(small())
    drawn = list(timeline.cut(whole.lanes[0], width, whole.seconds))
    assert len(drawn) == width
    assert drawn.count("emulated") >= 0.74 * width - 1
    if width == 100:
        assert drawn[0] is None
        assert drawn[1:7] == ["bases", "bases", "bases", "bases", "files", "emulated"]
        assert drawn[80:98] == ["export"] * 18
        assert drawn[98:] == [None, None]
    assert list(timeline.cut(whole.lanes[0], 3, 0.0)) == ["emulated", None, None]


def test_fifty_targets_on_four_platforms() -> None:
    build = large(50, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"))
    whole = timeline.of(build)
    assert len(whole.lanes) == 200
    assert len(build.steps) == 2000
    assert sum(whole.went.values()) + whole.other == pytest.approx(whole.seconds)
    first = ranking(build)[0]
    assert first.seconds == pytest.approx(4.0)
    assert first.native == pytest.approx(1.0)
