"""What changed from one recorded build to another, and why a step was done again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.recorded import AMD64, ARM64, small, step

from buildx_tasks.records.builds import CellRecord
from buildx_tasks.records.comparison import compared

if TYPE_CHECKING:
    from buildx_tasks.records.builds import Build
    from buildx_tasks.records.steps import Step

BASE = "FROM docker.io/library/alpine:3.22@sha256:1"


def chain(*steps: tuple[str, bool], seconds: float = 5.0, fingerprint: str = "") -> Build:
    """Return a build of one cell, each step of which needs the one before it."""
    made: list[Step] = []
    for number, (name, is_cached) in enumerate(steps, start=1):
        inputs = (made[-1].digest,) if made else ()
        made.append(
            step(
                name,
                float(number),
                float(number) if is_cached else number + seconds,
                ARM64,
                place=f"{number}/{len(steps)}",
                is_cached=is_cached,
                inputs=inputs,
            )
        )
    cell = CellRecord(ARM64, is_emulated=True, fingerprint=fingerprint)
    return small(steps=tuple(made), cells=(cell,))


CACHED = chain((BASE, True), ("COPY . .", True), ("RUN make", True), fingerprint="1")


def reasons(now: Build, before: Build = CACHED) -> dict[str, tuple[str, str]]:
    return {c.step.instruction: (c.word, c.why) for c in compared(before, now).changes}


def test_files_that_changed() -> None:
    now = chain((BASE, True), ("COPY . .", False), ("RUN make", False), fingerprint="2")
    assert reasons(now) == {
        "COPY": ("again", "the files that it copies changed"),
        "RUN": (
            "again",
            "`COPY . .` before it was done again: the files that it copies changed",
        ),
    }


def test_another_base() -> None:
    other = BASE.replace("sha256:1", "sha256:2")
    now = chain((other, False), ("COPY . .", False), ("RUN make", False))
    found = reasons(now)
    assert found["FROM"] == ("new", "its base was docker.io/library/alpine:3.22@sha256:1")
    assert found["RUN"][1].endswith("its base was docker.io/library/alpine:3.22@sha256:1")


def test_another_instruction() -> None:
    now = chain((BASE, True), ("COPY . .", True), ("RUN make all", False))
    assert reasons(now) == {"RUN": ("new", "it was `RUN make`")}
    longer = chain((BASE, True), ("COPY . .", True), ("RUN make", True), ("RUN strip", False))
    # It stands at a place that there was not.
    assert reasons(longer) == {"RUN": ("new", "it is new")}


def test_a_cache_that_is_gone() -> None:
    now = chain((BASE, True), ("COPY . .", True), ("RUN make", False), fingerprint="1")
    gone = "nothing that it depends on changed: the builder no longer had its result"
    assert reasons(now) == {"RUN": ("again", gone)}
    unknown = chain((BASE, True), ("COPY . .", True), ("RUN make", False))
    unsure = "the builder no longer had its result, or it is done each time"
    assert reasons(unknown)["RUN"][1] == unsure
    changed = chain((BASE, True), ("COPY . .", True), ("RUN make", False), fingerprint="2")
    assert reasons(changed)["RUN"][1] == ""


def test_a_base_that_is_only_looked_up_is_no_cause() -> None:
    now = chain((BASE, False), ("COPY . .", True), ("RUN make", False))
    assert "`FROM" not in reasons(now)["RUN"][1]


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [(5.0, 9.0, "slower"), (9.0, 5.0, "faster"), (5.0, 5.3, ""), (100.0, 110.0, "")],
)
def test_times_that_differ(before: float, now: float, word: str) -> None:
    made = [chain(("RUN make", False), seconds=one) for one in (before, now)]
    found = [change.word for change in compared(*made).changes]
    assert found == ([word] if word else [])


def test_what_is_cached_now_saved_its_time() -> None:
    now = chain((BASE, True), ("COPY . .", True), ("RUN make", True))
    before = chain((BASE, True), ("COPY . .", True), ("RUN make", False))
    (only,) = compared(before, now).changes
    assert (only.word, only.before, only.now) == ("cached", 5.0, 0.0)


def test_the_most_seconds_come_first_and_cells_of_one_build_alone_are_left_out() -> None:
    build = small()
    slower = tuple(
        s._replace(ended=s.started + 2 * ((s.ended or 0) - s.started)) for s in build.steps
    )
    found = compared(build, small(steps=slower, seconds=190.0))
    assert found.seconds == 90.0
    assert [change.now for change in found.changes] == sorted(
        (change.now for change in found.changes), reverse=True
    )
    other = small(cells=(CellRecord("else@linux/amd64"),))
    assert not compared(build, other).changes
    assert AMD64 in {cell for change in found.changes for cell in change.step.cells}


def test_inputs_that_go_in_a_circle_end() -> None:
    steps = [
        step("RUN a", 0, 9, ARM64, inputs=("y",), digest="x"),
        step("RUN b", 0, 9, ARM64, inputs=("x",), digest="y"),
    ]
    assert len(compared(small(steps=()), small(steps=tuple(steps))).changes) == 2


def with_inputs(build: Build, **inputs: str) -> Build:
    named = {name.replace("_", " "): value for name, value in inputs.items()}
    return build._replace(inputs={"hello": named})


def test_what_changed_of_all_that_a_target_depends_on_is_named() -> None:
    before = with_inputs(CACHED, file_a="1", file_b="1", argument_X="1", attribute_tags="1")
    copied = chain((BASE, True), ("COPY . .", False), ("RUN make", False), fingerprint="2")
    now = with_inputs(copied, file_a="2", file_c="1", argument_X="1", attribute_tags="2")
    why = "the files that it copies changed; of the context changed: file a, file c, file b"
    assert reasons(now, before)["COPY"] == ("again", why)
    # Of a stage's result, no file of the context is why.
    staged = chain((BASE, True), ("COPY --from=x . .", False), fingerprint="2")
    was = chain((BASE, True), ("COPY --from=x . .", True), fingerprint="1")
    found = reasons(with_inputs(staged, file_a="2"), with_inputs(was, file_a="1"))
    assert found["COPY"] == ("again", "the files that it copies changed")
    # Only what it copies.
    narrow = chain((BASE, True), ("COPY src/ /src/", False), fingerprint="2")
    wide = chain((BASE, True), ("COPY src/ /src/", True), fingerprint="1")
    changed = {"file_src/a.c": "2", "file_README.md": "2", "context_docs": "2"}
    was = with_inputs(wide, **dict.fromkeys(changed, "1"))
    why = "the files that it copies changed; of the context changed: file src/a.c"
    assert reasons(with_inputs(narrow, **changed), was)["COPY"][1] == why
    docs = chain((BASE, True), ("COPY --from=docs . .", False), fingerprint="2")
    found = reasons(with_inputs(docs, **changed), was._replace(steps=()))
    assert found["COPY"] == ("new", "it is new")
    named = chain((BASE, True), ("COPY --from=docs . .", True), fingerprint="1")
    was = with_inputs(named, **dict.fromkeys(changed, "1"))
    why = "the files that it copies changed; of the context changed: context docs"
    assert reasons(with_inputs(docs, **changed), was)["COPY"][1] == why
    # What a mount reads is named, too.
    for text, why in (
        ("RUN --mount=type=bind,source=src,target=/src make", ": file src/a.c"),
        ("RUN make", ""),
    ):
        ran, cached = (
            chain((BASE, True), (text, one), fingerprint=str(one)) for one in (False, True)
        )
        was = with_inputs(cached, **dict.fromkeys(changed, "1"))
        found = reasons(with_inputs(ran, **changed), was)
        assert found["RUN"][1] == (f"what its target depends on changed{why}" if why else "")
    # What the image has that is the result is the cause of no step.
    run = chain((BASE, True), ("COPY . .", True), ("RUN make", False), fingerprint="2")
    now = with_inputs(run, file_a="2", file_b="1", argument_X="2", attribute_tags="2")
    assert reasons(now, before)["RUN"][1] == "what its target depends on changed: argument X"
    now = with_inputs(run, file_a="1", file_b="1", argument_X="1", attribute_tags="2")
    assert reasons(now, before)["RUN"][1] == ""
    other = chain((BASE, True), ("COPY . .", True), ("RUN make 2", False), fingerprint="2")
    now = with_inputs(other, file_a="1", file_b="1", argument_X="2", attribute_tags="1")
    assert reasons(now, before)["RUN"][1] == "it was `RUN make`; what changed: argument X"


def test_what_is_behind_a_cached_step_is_why_of_nothing() -> None:
    steps = [("RUN gen", False), ("COPY --from=0 /out /", True), ("COPY src /src", False)]
    before = with_inputs(chain(*steps), **{"file_src/a.c": "1", "argument_X": "1"})
    now = with_inputs(chain(*steps), **{"file_src/a.c": "2", "argument_X": "2"})
    why = "the files that it copies changed; of the context changed: file src/a.c"
    found = {change.step.name: change.why for change in compared(before, now).changes}
    assert found["COPY src /src"] == why
    assert found["RUN gen"] == "what its target depends on changed: argument X"


def test_what_was_done_both_times_says_why_too() -> None:
    steps = (
        (BASE, True),
        ("COPY src/ /src/", False),
        ("RUN make", False),
        ("COPY docs /docs", False),
    )
    before = with_inputs(chain(*steps, fingerprint="1"), **{"file_src/a.c": "1"})
    now = with_inputs(chain(*steps, fingerprint="2"), **{"file_src/a.c": "2"})
    why = "the files that it copies changed; of the context changed: file src/a.c"
    later = f"`COPY src/ /src/` before it was done again: {why}"
    found = [(c.word, c.step.name, c.why) for c in compared(before, now).changes]
    assert found == [
        ("again", "COPY src/ /src/", why),
        ("again", "RUN make", later),
        ("again", "COPY docs /docs", later),
    ]
    slower = with_inputs(chain(*steps, seconds=9, fingerprint="2"), **{"file_src/a.c": "2"})
    assert reasons(slower, before)["RUN"] == ("slower", later)
    # Of what nothing is known to have changed, nothing is told.
    assert compared(before, before._replace(id="x")).changes == ()
    other = with_inputs(
        chain(*steps, fingerprint="2"), **{"file_README.md": "2", "file_src/a.c": "1"}
    )
    assert compared(before, other).changes == ()
    given = chain((BASE, True), ("RUN make", False))
    told = reasons(with_inputs(given, argument_X="2"), with_inputs(given, argument_X="1"))
    assert told == {"RUN": ("again", "what its target depends on changed: argument X")}


def test_many_that_changed_are_counted() -> None:
    names = {f"file_{n}": "1" for n in range(9)}
    copied = chain((BASE, True), ("COPY . .", False), ("RUN make", True))
    found = reasons(with_inputs(copied, **dict.fromkeys(names, "2")), with_inputs(CACHED, **names))
    assert found["COPY"][1].endswith(": file 0, file 1, file 2, file 3, file 4 and 4 more")


def test_what_is_the_same_for_all_platforms_is_done_for_whichever_comes_first() -> None:
    shared = {"place": "1/1", "digest": "x"}
    before = small(steps=(step("COPY f /", 1, 1, AMD64, is_cached=True, **shared),))
    now = small(steps=(step("COPY f /", 1, 2, ARM64, **shared),))
    assert reasons(now, before) == {"COPY": ("again", "the files that it copies changed")}
    # Where each platform has its own, none stands for the other.
    own = small(steps=(*now.steps, step("COPY f /", 1, 2, AMD64, place="1/1", digest="y")))
    found = compared(before, own).changes
    assert [(change.word, change.step.cells) for change in found] == [
        ("new", (ARM64,)),
        ("again", (AMD64,)),
    ]
