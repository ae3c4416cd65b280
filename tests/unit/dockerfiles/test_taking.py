"""Which files a step takes, as its name tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.dockerfiles.taking import Taken, taken

PATHS = (
    "main.go",
    "go.mod",
    "src",
    "src/util.c",
    "src/a/b.c",
    "docs/x.md",
    "a b",
    "x[1]",
    "srcs/x",
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("COPY . .", PATHS),
        ("COPY / /", PATHS),
        ("COPY ../.. /", PATHS),
        ("COPY src/ /src/", ("src", "src/util.c", "src/a/b.c")),
        ("COPY ./src /src/", ("src", "src/util.c", "src/a/b.c")),
        ("COPY --link --chown=1:1 /src/util.c /", ("src/util.c",)),
        ("COPY *.go go.* ./", ("main.go", "go.mod")),
        ("COPY s*/*.c /", ("src/util.c",)),
        ("COPY s?c /", ("src", "src/util.c", "src/a/b.c")),
        ("COPY [m-n]ain.go /", ("main.go",)),
        ("COPY [^m]ain.go /", ()),
        ("COPY x\\[1] /", ("x[1]",)),
        ('COPY ["a b", "go.mod", "/"]', ("go.mod", "a b")),
        ("COPY --exclude=*.c src /", ("src", "src/a/b.c")),
        ("COPY --exclude=**/*.c src /", ("src",)),
        (
            "COPY --exclude=src/a --exclude=docs . /",
            ("main.go", "go.mod", "src", "src/util.c", "a b", "x[1]", "srcs/x"),
        ),
        ("ADD https://example.invalid/main.go /", ()),
        ("ADD git@example.invalid:a/b.git /", ()),
        ("COPY <<EOF /x", ()),
        ("COPY", ()),
        ("COPY x", ()),
        ("RUN make", ()),
        ("RUN --mount=type=bind,source=src,target=/src make", ("src", "src/util.c", "src/a/b.c")),
        ("RUN --mount=target=. make", PATHS),
        ("RUN --mount=type=cache,source=src,target=/src make", ()),
        ("WORKDIR /src", ()),
    ],
)
def test_what_is_taken_of_the_context(name: str, expected: tuple[str, ...]) -> None:
    found = [one for one in taken(name) if not one.origin]
    assert tuple(path for path in PATHS if any(one.has(path) for one in found)) == expected


def test_what_is_taken_of_others() -> None:
    assert taken("COPY --from=build /out /") == [Taken("build", ("out",))]
    mounts = (
        "RUN --mount=from=tools,src=bin,target=/b --mount=type=secret,id=x --mount=target=/w make"
    )
    assert taken(mounts) == [Taken("tools", ("bin",)), Taken("", ("",))]


@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_names_of_any_kind(rest: str, path: str) -> None:
    for keyword in ("COPY", "ADD", "RUN"):
        for one in taken(f"{keyword} {rest}"):
            one.has(path)
