from __future__ import annotations

from typing import Any

import tomli
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.language.positions import Position, Positions

DOCUMENT = '''# a comment = [not a key]
[target."a.b"]
tags = ["x", # "y"
  "y]", 'z' ]
args = { A = "1", "B c" = """x
"quoted" = """ , d.e = "k"}
when = 1979-05-27 07:32:00
[[x.y]]
k = 1
[[x.y]]
k = 2
[x.y.sub]
z = 1
'''


def test_finds_keys_and_values() -> None:
    positions = Positions(DOCUMENT)
    assert positions.key(("target", "a.b")) == Position(2, 9)
    assert positions.key(("target", "a.b", "tags", 1)) == Position(4, 3)
    assert positions.value(("target", "a.b", "args", "A")) == Position(5, 14)
    assert positions.value(("target", "a.b", "args", "d", "e")) == Position(6, 24)
    assert positions.value(("target", "a.b", "when")) == Position(7, 8)
    assert positions.key(("x", "y", 1, "k")) == Position(11, 1)
    assert positions.key(("x", "y", 1, "sub", "z")) == Position(13, 1)


def test_an_unknown_path_is_its_nearest_parent() -> None:
    assert Positions(DOCUMENT).key(("target", "a.b", "nothing", 3)) == Position(2, 9)
    assert Positions("").key(("target",)) == Position(1, 1)


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", # ]\n ".join([*map(written, value), ""]) + "]"
    if isinstance(value, dict):
        pairs = (f"{quoted(key)} = {written(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return str(value)


def every_path(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    found = [(path, value)] if path else []
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            found += every_path(item, (*path, key))
    return found


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_value_stands_where_it_says(data: dict[str, Any]) -> None:
    text = "".join(f"{quoted(key)} = {written(value)}\n" for key, value in data.items())
    assert tomli.loads(text) == data
    positions = Positions(text)
    lines = text.split("\n")
    for path, value in every_path(data):
        place = positions.value(path)
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert rest.startswith(written(value))
