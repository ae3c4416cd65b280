"""Words in braces are filled in where they are ours, and stay where they are another language's."""

from __future__ import annotations

import pytest

from buildx_tasks.language import placeholders
from buildx_tasks.platforms import parse

VALUES = {**placeholders.of_platform(parse("linux/arm/v7")), "target": "{os}", "tag": "a:1"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("on {platform}.", "on linux/arm/v7."),
        ("{os}-{arch}{variant}", "linux-armv7"),
        ('{"os": "{os}", "in": {"tag":{tag}}}', '{"os": "linux", "in": {"tag":a:1}}'),
        ("{{arch}", "{arm"),
        ("{target}", "{os}"),  # once
        ("echo ${os} $os %{arch}", "echo ${os} $os %{arch}"),
        ("{{os}} {{ os }} {{.os}}", "{{os}} {{ os }} {{.os}}"),
        (r"\{os} \{arch\} x{2}", r"\{os} \{arch\} x{2}"),
        ("{other} {} {OS}", "{other} {} {OS}"),
    ],
)
def test_what_is_filled_in(text: str, filled: str) -> None:
    assert placeholders.filled(text, VALUES) == filled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a}{b}", ["a", "b"]),
        ("${a} %{b} {{c}} \\{d}", []),
        ("{{a} {b}}", ["a", "b"]),
    ],
)
def test_what_is_looked_at_for_spelling_is_what_is_filled_in(text: str, words: list[str]) -> None:
    assert placeholders.IN_BRACES.findall(text) == words
    assert placeholders.filled(text, dict.fromkeys(words, "")).count("{") == text.count("{") - len(
        words
    )
