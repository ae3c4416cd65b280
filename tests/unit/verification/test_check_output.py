from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from buildx_tasks.language.expectations import Output
from buildx_tasks.text import printable
from buildx_tasks.verification.checks.output import problems, quoted

LONG = "x" * 1000


@pytest.mark.parametrize(
    ("expected", "text", "said"),
    [
        (None, "anything", []),
        ("a", "a", []),
        ("a\n\n", "a", []),
        ("a", "a\n\n", []),
        ("", "\n", []),
        ("a", "b\n", ['expected "a", got "b"']),
        ("a", "", ['expected "a", got ""']),
        ("", "a\nb", ['expected "", got "a\\nb"']),
        (" a", "a", ['expected " a", got "a"']),
        ("a", "a\r\n", ['expected "a", got "a\\r"']),
        ("a", "\x1b[31ma\x07", ['expected "a", got "\\x1b[31ma\\x07"']),
        ("ü €", "ü\u202e€", ['expected "ü €", got "ü\\u202e€"']),
        ("a\nb\nc", "a\nB\nC", ['expected line 2 to be "b", got "B"']),
        ("a\nb\n", "a\n", ['expected line 2 to be "b", but there are 1 lines']),
        ("a", "a\n\nb\n", ['expected 1 lines, but line 2 is ""']),
        ("a", LONG, [f'expected "a", got "{"x" * 300}… (1,000 characters)"']),
        (
            f"{LONG}a",
            f"{LONG}b",
            [f'expected "…{"x" * 100}a", got "…{"x" * 100}b"'],
        ),
    ],
)
def test_a_whole_text(expected: str | None, text: str, said: list[str]) -> None:
    assert problems("stdout", expected, text) == [f"stdout: {one}" for one in said]
    if expected is not None:
        assert problems("x", Output(equals=expected), text) == [f"x: {one}" for one in said]


@pytest.mark.parametrize(
    ("expected", "text", "said"),
    [
        (Output(), "anything", []),
        (Output(contains=["a", "b"]), "abc", []),
        (
            Output(contains=["a", "\t", "z"]),
            "abc\n",
            ['expected to contain "\\t", got "abc"', 'expected to contain "z", got "abc"'],
        ),
        (Output(matches="^b+$"), "a\nbb\nc", []),
        (Output(matches="^b$"), "a\nbb\n", ['expected to match "^b$", got "a\\nbb"']),
        (
            Output(matches="[]"),
            "",
            ['"[]" is no regular expression: unterminated character set at position 0; correct it'],
        ),
        (
            Output(equals="a", contains=["c"]),
            "b",
            ['expected "a", got "b"', 'expected to contain "c", got "b"'],
        ),
    ],
)
def test_parts_of_a_text(expected: Output, text: str, said: list[str]) -> None:
    assert problems("stderr", expected, text) == [f"stderr: {one}" for one in said]


@pytest.mark.parametrize(
    ("expected", "text", "said"),
    [
        ({"a": 1, "b": [True, None]}, ' {"b": [true, null],\n "a": 1.0}\n', []),
        ([], "[]", []),
        (dt.date(2025, 1, 2), '"2025-01-02"', []),
        (1, "2", ["expected 1, got 2"]),
        (1, "true", ["expected 1, got true"]),
        (True, "1", ["expected true, got 1"]),
        ({"a": 1}, "[1]", ['expected {"a":1}, got [1]']),
        ({"a": {"b/c~": 1}}, '{"a": {"b/c~": "1"}}', ['at /a/b~1c~0 expected 1, got "1"']),
        ({"a": 1}, '{"b": 2}', ["at /a expected 1, got nothing", "at /b expected nothing, got 2"]),
        ([1, 2], "[1]", ["at /1 expected 2, got nothing"]),
        ([1], "[1, {}]", ["at /1 expected nothing, got {}"]),
        (
            [1, 2, 3, 4, 5, 6, 7],
            "[]",
            [
                *(f"at /{n} expected {n + 1}, got nothing" for n in range(5)),
                "and 2 more differences",
            ],
        ),
        (
            {"a": "\x1b"},
            '{"a": "\\u001b\\u202e"}',
            ['at /a expected "\\u001b", got "\\u001b\\u202e"'],
        ),
        (1, LONG, [f'expected JSON, got "{"x" * 300}… (1,000 characters)" (JSON is malformed: ']),
        (1, "", ['expected JSON, got "" (Input data was truncated)']),
        (1, "[" * 100_000, ["expected JSON, got "]),
        (["x" * 400], "[1]", [f'at /0 expected "{"x" * 299}… (402 characters), got 1']),
    ],
)
def test_json(expected: Any, text: str, said: list[str]) -> None:
    found = problems("stdout", Output(json=expected), text)
    assert len(found) == len(said)
    for one, start in zip(found, said):
        assert one.startswith(f"stdout: {start}")


@pytest.mark.parametrize(
    ("pointer", "expected", "said"),
    [
        ("/a/b~1c/1", 2, []),
        ("", {"a": {"b/c": [1, 2]}, "": 0, "~": "t"}, []),
        ("/", 0, []),
        ("/~0", "t", []),
        ("/a/b~1c/0", 2, ["at /a/b~1c/0 expected 2, got 1"]),
        ("/a", {}, ["at /a/b~1c expected nothing, got [1,2]"]),
        ("/a/x/y", 2, ['at /a/x/y expected 2, but /a has no "x"']),
        ("/x", 2, ['at /x expected 2, but the whole has no "x"']),
        ("/a/b~1c/2", 2, ['at /a/b~1c/2 expected 2, but /a/b~1c has 2 items, and no "2"']),
        ("/a/b~1c/-", 2, ['at /a/b~1c/- expected 2, but /a/b~1c has 2 items, and no "-"']),
        ("/a/b~1c/01", 2, ['at /a/b~1c/01 expected 2, but /a/b~1c has 2 items, and no "01"']),
        ("/~0/1", 2, ['at /~0/1 expected 2, but /~0 is "t"']),
    ],
)
def test_json_at_a_pointer(pointer: str, expected: Any, said: list[str]) -> None:
    text = '{"a": {"b/c": [1, 2]}, "": 0, "~": "t"}'
    found = problems("body", Output(json_at={pointer: expected}), text)
    assert found == [f"body: {one}" for one in said]


def test_nothing_acts_on_a_terminal() -> None:
    every = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x202E, 0x2028, 0xFEFF]))
    assert printable(every).isascii()
    assert printable(every).isprintable()
    assert quoted(f"a{every}").isprintable()
