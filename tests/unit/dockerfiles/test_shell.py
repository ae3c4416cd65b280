from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.dockerfiles.shell import commands, expand

VALUES = {"X": "v7.1.1", "EMPTY": "", "N": "two"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a$X.b", "av7.1.1.b"),
        ("${X}$N", "v7.1.1two"),
        ("$NONE${NONE}", ""),
        ("${NONE:-y}${EMPTY:-y}${X:-y}", "yyv7.1.1"),
        ("${NONE-y}${EMPTY-y}", "y"),
        ("${X:+y}${EMPTY:+y}${EMPTY+y}", "yy"),
        ("${NONE:-${N}-$N}", "two-two"),
        ("${X#v}", "7.1.1"),
        ("${X#*.}", "1.1"),
        ("${X##*.}", "1"),
        ("${X%.*}", "v7.1"),
        ("${X%%.*}", "v7"),
        ("${X/1/2}", "v7.2.1"),
        ("${X//1/2}", "v7.2.2"),
        ("${X/?7}", ".1.1"),
        ("${NONE#v}${NONE:?must}", ""),
        (r"\$X", "$X"),
        ("\"$N\" '$N'", "two two"),
        ("$", "$"),
        ("$1", "$1"),
    ],
)
def test_variables_are_filled_in_as_buildkit_does(word: str, expected: str) -> None:
    assert expand(word, VALUES) == expected


@pytest.mark.parametrize("word", ["${X", "${", "${X:-${N}", "${}", "${-x}"])
def test_what_is_not_closed_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{"):
        expand(word, VALUES)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a b && c|d;e &", ["a b", "c", "d", "e"]),
        ("X=1 Y='a b' go build", ["go build"]),
        ("env X=1 nice go build", ["go build"]),
        ("if [ x ]; then a; elif b; then c; else d; fi", ["[ x ]", "a", "b", "c", "d", "fi"]),
        ("for a in x y; do GOARCH=$a go build || exit 1; done", ["for a in x y", "go build"]),
        ("a > make", ["a"]),
        ("a 2>&1 < make b", ["a 2 b"]),
        ("echo 'go build' \"; make\"", ["echo go build ; make"]),
        ("x=$(go build) (make)", ["go build", "make"]),
        ("# make\na # make\n", ["a # make"]),
        ("a \\\n b\nc", ["a b", "c"]),
        ("sh -ec 'a; make'", ["sh -ec a; make"]),
        ("/bin/sh -c 'a; make' && b", ["/bin/sh -c a; make", "a", "make", "b"]),
        ("a && echo 'never closed", ["a", "echo"]),
        ("case x in amd64) go build;; esac", ["case x in amd64", "go build", "esac"]),
        ("", []),
    ],
)
def test_commands_of_a_script(script: str, expected: list[str]) -> None:
    found = [" ".join(command) for command in commands(script)]
    assert found[: len(expected)] == expected


@given(st.text(), st.text())
def test_any_text(script: str, word: str) -> None:
    assert all(command and command[0] for command in commands(script))
    with contextlib.suppress(ValueError):
        expand(word, VALUES)
