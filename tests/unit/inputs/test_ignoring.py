"""Which paths an ignore file leaves out; held to BuildKit's own by ``tests/engine/test_unchanged.py``."""

from __future__ import annotations

import pytest

from buildx_tasks.inputs import ignoring


def left_out(text: str, path: str) -> bool:
    """Ask for a path as a walk does: with what was said of the folders above it."""
    rules = ignoring.parse(text)
    above: tuple[bool, ...] = ()
    parts = path.split("/")
    is_out = False
    for number in range(1, len(parts) + 1):
        is_out, above = rules.matches("/".join(parts[:number]), above)
    return is_out


@pytest.mark.parametrize(
    ("text", "path", "is_out"),
    [
        ("a.txt", "a.txt", True),
        ("a.txt", "b/a.txt", False),
        ("/a.txt", "a.txt", True),
        ("./a.txt", "a.txt", True),
        ("b/", "b/c/d", True),
        ("b", "bc", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "b/a.txt", False),
        ("*/*.txt", "b/a.txt", True),
        ("*", "b/c", True),
        ("**/*.txt", "a.txt", True),
        ("**/*.txt", "b/c/a.txt", True),
        ("**/c", "b/c/a.txt", True),
        ("b/**", "b", False),
        ("b/**", "b/c/d", True),
        ("b/**/d", "b/d", True),
        ("b/**/d", "b/c/e/d", True),
        ("**", "anything/at/all", True),
        ("a?.txt", "ab.txt", True),
        ("a?.txt", "a/.txt", False),
        ("[ab].txt", "b.txt", True),
        ("[^ab].txt", "b.txt", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
        ("*\n!a.txt", "a.txt", False),
        ("*\n!a.txt", "b.txt", True),
        ("!a.txt\n*", "a.txt", True),
        ("b\n!b/c", "b/c/d", False),
        ("b\n!b/c", "b/e", True),
        ("b\n!b/c\nb/c/d", "b/c/d", True),
        ("**/*.md\n!README.md", "README.md", False),
        ("**/*.md\n!README.md", "docs/README.md", True),
        ("# comment\na.txt", "a.txt", True),
        ("#a", "#a", False),
        (" #a", "#a", True),
        ("\ufeffa.txt", "a.txt", True),
        ("a.txt\r\nb.txt\r\n", "b.txt", True),
        ("  a.txt  ", "a.txt", True),
        ("! a.txt", "a.txt", False),
        ("*\n! a.txt", "a.txt", False),
        ("b/../a.txt", "a.txt", True),
        ("../a.txt", "a.txt", False),
        ("[", "[", False),
        ("", "a.txt", False),
        ("!", "a.txt", False),
        (".", "a.txt", False),
        ("/", "a.txt", False),
    ],
)
def test_what_is_left_out(text: str, path: str, is_out: bool) -> None:
    assert left_out(text, path) is is_out


def test_exceptions_are_known() -> None:
    assert not ignoring.parse("a\nb").has_exceptions
    assert ignoring.parse("a\n!a/b").has_exceptions
