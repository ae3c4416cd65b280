from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks import platforms
from buildx_tasks.dockerfiles.stages import emulated_runs, native_platform, parse, place, reachable

if TYPE_CHECKING:
    from buildx_tasks.platforms import Platform

AMD64, ARM64, ARM = map(platforms.parse, ("linux/amd64", "linux/arm64", "linux/arm/v7"))
RISCV64 = platforms.parse("linux/riscv64")


def native(platform: Platform) -> bool:
    return platforms.runs_natively(platform, AMD64)


def emulated(
    text: str,
    platform: Platform = ARM64,
    args: dict[str, str] | None = None,
    target: str = "",
    contexts: tuple[str, ...] = (),
) -> list[str]:
    found = emulated_runs(text, platform, native, args, target, contexts)
    return [f"{stage.label}:{run.line}" for stage, run in found]


def instructions(text: str) -> list[tuple[str, str, int]]:
    return [
        (one.keyword, one.value, one.line)
        for stage in parse(text).stages
        for one in stage.instructions
    ]


def test_stages_have_name_base_platform_and_line() -> None:
    parsed = parse(
        "# syntax=docker/dockerfile:1\n"
        "ARG GO=1.24\n"
        "from --platform=$BUILDPLATFORM golang:${GO}-alpine as Builder\n"
        "run go build\n"
        "FROM builder\n"
    )
    assert [one.value for one in parsed.arguments] == ["GO=1.24"]
    first, second = parsed.stages
    assert (first.name, first.number, first.base, first.platform, first.line) == (
        "builder",
        0,
        "golang:${GO}-alpine",
        "$BUILDPLATFORM",
        3,
    )
    assert (second.name, second.label, second.base, second.line) == ("", "stage-1", "builder", 5)
    assert instructions("FROM a\nrun x") == [("RUN", "x", 2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nRUN one \\\n  two\nRUN three", [("RUN", "one   two", 2), ("RUN", "three", 4)]),
        ("FROM a\nRUN one \\\n# why\n  two\nUSER x", [("RUN", "one   two", 2), ("USER", "x", 5)]),
        ("FROM a\nRUN one \\\n\n  two\nUSER x", [("RUN", "one   two", 2), ("USER", "x", 5)]),
        ("FROM a\nRUN one \\", [("RUN", "one", 2)]),
        ("FROM a\nRUN one \\\n# why", [("RUN", "one", 2)]),
        ("FROM a\nRUN \\\n  one", [("RUN", "one", 2)]),
        ("FROM a\nRUN\\\n  one", [("RUN", "one", 2)]),
        ("FROM a\nRUN dir C:\\\\\nUSER x", [("RUN", "dir C:\\\\", 2), ("USER", "x", 3)]),
        (
            "# escape=`\nFROM a\nRUN one `\n two \\\nUSER x",
            [("RUN", "one  two \\", 3), ("USER", "x", 5)],
        ),
        ("# check=skip=all\n# Escape = `\nFROM a\nRUN a `\n b", [("RUN", "a  b", 4)]),
        ("# words\n# escape=`\nFROM a\nRUN a=`b`\nUSER x", [("RUN", "a=`b`", 4), ("USER", "x", 5)]),
        ("\ufeffFROM a\r\nRUN one \\\r\n two\r\n", [("RUN", "one  two", 2)]),
        ("  FROM a\n\tRUN   one\n", [("RUN", "one", 2)]),
    ],
    ids=[
        "continuation",
        "comment in it",
        "empty line in it",
        "nothing behind it",
        "comment behind it",
        "keyword alone",
        "keyword without space",
        "two backslashes",
        "escape",
        "escape behind check",
        "comment before escape",
        "byte order mark and CRLF",
        "indented",
    ],
)
def test_lines(text: str, expected: list[tuple[str, str, int]]) -> None:
    assert instructions(text) == expected


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("RUN <<EOF", "FROM x\nEOF"),
        ("RUN <<EOF cat", "FROM x \\\nEOF"),
        ("RUN << EOF", "FROM x\nEOF"),
        ('RUN <<"EOF"', "FROM $x\nEOF"),
        ("RUN <<-EOF", "\tFROM x\n\tEOF"),
        ("RUN 3<<EOF cat", "FROM x\nEOF"),
        ("RUN <<A <<B", "FROM x\nA\nFROM y\nB"),
        ("RUN \\\n <<EOF", "FROM x\nEOF"),
        ("COPY <<EOF /x", "FROM x\nEOF"),
        ('ADD <<"E F" /x', "FROM x\nEOF\nE F"),
        ("ONBUILD RUN <<EOF", "FROM x\nEOF"),
        ("RUN --mount=type=cache,target=/x <<EOF", "FROM x\n#EOF\nEOF"),
    ],
)
def test_here_documents_are_no_instructions(head: str, body: str) -> None:
    text = f"FROM a\n{head}\n{body}\nUSER x"
    only = parse(text).stages[0]
    assert [one.keyword for one in only.instructions][1:] == ["USER"]
    assert only.instructions[1].line == len(text.split("\n"))
    assert "FROM" in only.instructions[0].heredocs[0]


@pytest.mark.parametrize(
    "run",
    [
        "RUN cat <<<EOF",
        'RUN echo "<<EOF"',
        "RUN echo x<<EOF",
        'RUN ["echo", "<<EOF"]',
        "ENV X=<<EOF",
        "RUN echo '<<EOF'",
        "RUN [ 1 ] # <<<",
    ],
)
def test_what_only_looks_like_a_here_document(run: str) -> None:
    assert len(parse(f"FROM a\n{run}\nUSER x").stages[0].instructions) == 2


def test_flags_and_arguments() -> None:
    run = parse("FROM a\nRUN --mount=type=cache,target=/c \\\n --network=none go build --x").stages[
        0
    ]
    assert run.instructions[0].flags == ("--mount=type=cache,target=/c", "--network=none")
    assert run.instructions[0].arguments == "go build --x"
    assert run.instructions[0].json is None
    copy = parse('FROM a\nCOPY --link ["a b", "/c"]').stages[0].instructions[0]
    assert copy.json == ["a b", "/c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no FROM"),
        ("# nothing", "no FROM"),
        ("RUN x\nFROM a", "line 1: RUN stands before the first FROM"),
        ("FROM", "line 1: FROM takes an image"),
        ("FROM a b", "line 1: FROM takes an image"),
        ("FROM a\nFROM b AS c d", "line 2: FROM takes an image"),
        ("FROM a\nRUN <<EOF\nx", "line 2: the here-document is never ended; write EOF"),
        ("# escape=x\nFROM a", "# escape=x: the character must be"),
    ],
)
def test_what_cannot_be_read_is_said_plainly(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(
    "text", ['ARG X="\nFROM $X', "FROM ${X", "ARG X=${\nFROM a", "FROM --platform=${} a"]
)
def test_expressions_that_cannot_be_read_name_their_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        emulated(text)


def test_an_ordinary_dockerfile_runs_on_the_target() -> None:
    text = "FROM a AS b\nRUN x\nFROM c\nRUN y\nCOPY --from=b /x /"
    assert emulated(text) == ["b:2", "stage-1:4"]
    assert emulated(text, AMD64) == []
    assert emulated(text, platforms.parse("linux/386")) == []  # an amd64 runs it


@pytest.mark.parametrize(
    "platform",
    [
        "$BUILDPLATFORM",
        "${BUILDPLATFORM}",
        "linux/amd64",
        "$BUILDOS/${BUILDARCH}",
        "${NONE:-$BUILDPLATFORM}",
        "$WHERE",
        "${WHERE#x}",
    ],
)
def test_a_pinned_stage_is_not_emulated(platform: str) -> None:
    pinned = f"ARG WHERE=$BUILDPLATFORM\nFROM --platform={platform} a AS b\nRUN x\n"
    assert emulated(f"{pinned}FROM c\nCOPY --from=b / /") == []


@pytest.mark.parametrize(
    "platform", ["$TARGETPLATFORM", "linux/arm64", "$TARGETOS/$TARGETARCH", "arm64"]
)
def test_a_stage_for_the_target_is_emulated(platform: str) -> None:
    assert emulated(f"FROM --platform={platform} a\nRUN x") == ["stage-0:2"]


def test_platform_facts_have_the_form_of_buildkit() -> None:
    text = "FROM --platform=linux/$TARGETARCH${TARGETVARIANT:+/$TARGETVARIANT} a\nRUN x"
    assert emulated(text, ARM) == ["stage-0:2"]
    for platform, base in ((ARM, "linux-armv7"), (ARM64, "linux-arm64")):
        stages = f"FROM a AS linux-armv7\nRUN x\nFROM a AS linux-arm64\nRUN {base}\n"
        pick = "FROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT}\n"
        assert emulated(stages + pick, platform)[0].startswith(base)


@pytest.mark.parametrize("platform", ["$NONE", "linux/quantum", "${NONE:-x}"])
def test_an_unknown_platform_is_not_guessed(platform: str) -> None:
    assert emulated(f"FROM --platform={platform} a\nRUN x") == []
    (only,) = place(parse(f"FROM --platform={platform} a"), ARM64, AMD64, {})
    assert only.platform is None


def test_arguments_come_before_defaults_and_only_where_declared() -> None:
    text = "ARG WHERE=linux/amd64\nFROM --platform=$WHERE a\nRUN x"
    assert emulated(text) == []
    assert emulated(text, args={"WHERE": "linux/riscv64"}) == ["stage-0:3"]
    assert emulated("FROM --platform=$WHERE a\nRUN x", args={"WHERE": "linux/riscv64"}) == []
    assert emulated("ARG TARGETPLATFORM\nFROM --platform=$TARGETPLATFORM a\nRUN x") == ["stage-0:3"]
    assert emulated('ARG A=arm64 B="linux/$A"\nFROM --platform=$B a\nRUN x', AMD64) == ["stage-0:3"]


def test_arguments_come_before_the_facts_of_the_platforms() -> None:
    text = "FROM --platform=$TARGETPLATFORM a\nRUN x"
    assert emulated(text, args={"TARGETPLATFORM": "linux/amd64"}) == []


def test_a_stage_from_a_stage_runs_where_that_one_runs() -> None:
    pinned = "FROM --platform=$BUILDPLATFORM a AS base\nFROM base AS b\nRUN x\n"
    assert emulated(pinned) == []
    # BuildKit does not listen to the second --platform.
    ignored = "FROM a AS base\nFROM --platform=$BUILDPLATFORM base AS b\nRUN x\n"
    assert emulated(ignored) == ["b:3"]
    through_argument = "ARG FROM=BASE\nFROM a AS base\nFROM $FROM AS b\nRUN x"
    assert emulated(through_argument) == ["b:4"]
    # A stage that comes later is no base: that is an image of this name.
    assert emulated(
        "FROM b AS a\nRUN x\nFROM --platform=linux/amd64 c AS b\nRUN y", target="a"
    ) == ["a:2"]


def test_scratch_is_always_for_the_target() -> None:
    assert emulated("FROM --platform=$BUILDPLATFORM scratch\nCOPY busybox /\nRUN x") == [
        "stage-0:3"
    ]


def test_on_build_runs_in_the_stage_that_starts_from_it() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM a AS base\nONBUILD RUN x\nFROM a AS other\nONBUILD RUN y\n"
    )
    assert emulated(f"{text}FROM base") == []
    assert emulated(f"{text}FROM other") == ["stage-2:4"]
    assert emulated(text) == []


@pytest.mark.parametrize(
    "use",
    [
        "COPY --from=b /x /",
        "COPY --from=B /x /",
        "COPY --chown=1 --from=1 /x /",
        "RUN --mount=type=bind,from=b,target=/b true",
        "RUN --mount=type=cache,target=/c,from=b true",
    ],
)
def test_only_what_the_target_needs_runs(use: str) -> None:
    stages = "FROM a AS unused\nRUN x\nFROM a AS b\nRUN y\n"
    pinned = "FROM --platform=$BUILDPLATFORM a\n"
    assert emulated(stages + pinned) == []
    assert emulated(stages + pinned + use) == ["b:4"]


def test_images_and_contexts_are_no_stages() -> None:
    text = "FROM a AS b\nRUN x\nFROM c\nCOPY --from=alpine:3.22 /x /\nCOPY --from=files /y /\n"
    assert emulated(text + "RUN --mount=from=0,target=/m true") == ["stage-1:6"]


def test_the_wanted_stage() -> None:
    text = "FROM a AS b\nRUN x\nFROM a AS c\nRUN y\nFROM d\nRUN z"
    assert emulated(text, target="b") == ["b:2"]
    assert emulated(text, target="C") == ["c:4"]
    assert emulated(text) == ["stage-2:6"]
    with pytest.raises(ValueError, match='there is no stage "cc"; did you mean "c"?'):
        emulated(text, target="cc")
    # Of two stages with one name the last one is meant.
    assert emulated("FROM a AS b\nRUN x\nFROM a AS b\nRUN y", target="b") == ["b:4"]


def test_a_named_context_stands_in_a_stage_of_its_name() -> None:
    text = "FROM a AS b\nRUN x\nFROM b\nRUN y\n"
    assert emulated(text) == ["b:2", "stage-1:4"]
    assert emulated(text, contexts=("b",)) == ["stage-1:4"]
    assert emulated(text, contexts=("b::linux/arm64",)) == ["stage-1:4"]
    assert emulated(text, contexts=("b::linux/riscv64", "a")) == ["b:2", "stage-1:4"]
    deeper = "FROM a AS z\nRUN w\nFROM z AS b\nRUN x\nFROM b\nRUN y\n"
    assert emulated(deeper, contexts=("b",)) == ["stage-2:6"]


def test_stages_that_are_needed_stay_in_order() -> None:
    text = "FROM x AS a\nFROM x AS b\nCOPY --from=a / /\nFROM x AS c\nFROM x\nCOPY --from=b / /"
    needed = reachable(place(parse(text), ARM64, AMD64, {}))
    assert [one.stage.label for one in needed] == ["a", "b", "stage-3"]
    # One that comes later can be copied from too.
    later = "FROM x AS a\nCOPY --from=b / /\nFROM x AS b\nRUN y"
    assert emulated(later, target="a") == ["b:4"]


def test_what_the_build_platform_can_be() -> None:
    assert native_platform(lambda p: p == RISCV64) == RISCV64
    assert native_platform(lambda _: True) == platforms.host_platform()
    assert native_platform(lambda _: False) is None


PIECES = st.sampled_from(
    [
        "FROM a AS b",
        "from --platform=$X${",
        "FROM --platform=$BUILDPLATFORM b",
        "ARG X=${Y:-1",
        "ARG A='",
        "RUN <<EOF",
        "EOF",
        "RUN x <<-E << F",
        "\tE",
        "ONBUILD RUN <<F",
        "ONBUILD",
        "RUN",
        "RUN a \\",
        "\\",
        "`",
        "# escape=`",
        "  # comment",
        "",
        "\r",
        "COPY --from=0 . .",
        "COPY --from=b x y",
        'COPY ["a"',
        "RUN --mount=type=cache,from=b x",
        "[",
    ]
)
TEXTS = st.one_of(
    st.text(),
    st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=12).map("\n".join),
)


@given(TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        emulated_runs(text, ARM64, native)


@given(st.lists(st.sampled_from("abc"), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_blank_lines_and_comments_change_no_stage(names: list[str], end: str) -> None:
    lines = [f"FROM x AS {name}" for name in names] + ["FROM y"]
    padded = [part for line in lines for part in ("# c", "", line, "   ")]
    plain, other = parse("\n".join(lines)), parse(end.join(padded))
    assert [s.name for s in plain.stages] == [s.name for s in other.stages]
    assert [s.line for s in other.stages] == [3 + 4 * n for n in range(len(lines))]


def test_deeply_nested_variables_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 100 variables"):
        emulated("FROM " + "${A:-" * 5000 + "}" * 5000)
