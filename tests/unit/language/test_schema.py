"""The shipped JSON Schema against the loader, by two checkers that are not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from support.corpus import GOOD

from buildx_tasks.errors import ConfigError
from buildx_tasks.language import config, loading, schema
from buildx_tasks.language.examples import example
from buildx_tasks.language.structure import check

from .test_bad_files import BAD

VALIDATOR = jsonschema.Draft202012Validator(schema.json_schema())


def parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError:
        return None


def structure_is_good(data: dict[str, Any]) -> bool:
    try:
        check(data, lambda *_args, **_kwargs: ConfigError("bad"))
    except ConfigError:
        return False
    return True


def loads(text: str, folder: Path) -> bool:
    (folder / "buildx.toml").write_text(text)
    try:
        loading.load(folder / "buildx.toml", environment={})
    except ConfigError:
        return False
    return True


def test_schema_and_reference_are_not_stale() -> None:
    again = "run python -m buildx_tasks.language.schema"
    assert json.loads(schema.SCHEMA_FILE.read_text()) == schema.json_schema(), again
    assert schema.REFERENCE_FILE.read_text() == schema.reference(), again


def test_every_field_has_a_description() -> None:
    for name, table in schema.json_schema()["$defs"].items():
        for key, field in table["properties"].items():
            assert field.get("description"), f"{name}.{key}"


@pytest.mark.parametrize(
    ("kind", "title"), schema._TABLES, ids=[title for _, title in schema._TABLES]
)
def test_every_field_has_an_example_that_is_taken(kind: Any, title: str) -> None:
    lines = {f.encode_name: example(title, f.encode_name) for f in schema.fields(kind)}
    assert [key for key, line in lines.items() if not line] == [], "see language/examples.py"
    values = {key: tomli.loads(line)[key] for key, line in lines.items()}
    msgspec.convert(values, kind)


def test_every_example_of_a_target_loads(tmp_path: Path) -> None:
    needs = {
        "cache-to": 'output = ["type=image"]',
        "name": 'matrix = { go = ["1.24"] }',
        "inherits": 'tags = ["localhost:5000/app:v1"]\n[target._common]',
        "contexts": "[target.base]",
        "args": "[variable.MIRROR]\ndefault = 'none'",
        "platform": 'platforms = ["linux/arm64"]',
        "files": 'platforms = ["linux/amd64", "linux/arm64"]',
        "metadata": 'labels = { a = "b" }',
    }
    for field in schema.fields(config.Target):
        key = field.encode_name
        text = f"[target.app]\n{example('[target.NAME]', key)}\n{needs.get(key, '')}\n"
        assert loads(text, tmp_path), text


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_what_loads_is_valid(text: str, tmp_path: Path) -> None:
    assert loads(text, tmp_path)
    VALIDATOR.validate(tomli.loads(text))


@pytest.mark.parametrize("text", [text for text, _ in BAD if parsed(text)])
def test_the_schema_refuses_what_is_wrong_in_structure_and_only_what_does_not_load(
    text: str, tmp_path: Path
) -> None:
    data = tomli.loads(text)
    valid = VALIDATOR.is_valid(data)
    if not structure_is_good(data):
        assert not valid
    if not valid:
        assert not loads(text, tmp_path)


KEYS = st.sampled_from(
    sorted(
        {key for table in schema.json_schema()["$defs"].values() for key in table["properties"]}
        | {"a", "linux/arm64", "nonsense", "X Y"}
    )
)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-2, 300),
        # None without a fraction: JSON Schema takes 0.0 for a whole number, the loader does not.
        st.sampled_from([1.5, 0.25, -1.5]),
        st.sampled_from(["", "x", "a", "linux/arm64", "type=local", "${X}", "a b", "file", "true"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.sampled_from(["", "a", "target"]))
def test_generated_tables_are_refused_by_both_or_by_none(table: dict[str, Any], place: str) -> None:
    whole: dict[str, Any] = {"target": {"a": table}} if place else {**table, "target": {"a": {}}}
    # Required keys of tables in lists of exports and caches are checked when they are read.
    if VALIDATOR.is_valid(whole):
        assert structure_is_good(whole)
    elif structure_is_good(whole):
        errors = list(VALIDATOR.iter_errors(whole))
        assert all("type" in str(e.schema) or "const" in str(e.schema) for e in errors)


def taplo() -> str:
    found = shutil.which("taplo", path=str(Path(sys.executable).parent)) or shutil.which("taplo")
    if not found:
        pytest.skip("taplo is not installed for this Python and machine")
    return found


def test_an_editor_s_checker_agrees(tmp_path: Path) -> None:
    command = [taplo(), "lint", "--no-auto-config", "--schema", schema.SCHEMA_FILE.as_uri()]
    for text in GOOD:
        (tmp_path / "good.toml").write_text(text)
        done = subprocess.run(
            [*command, "good.toml"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    wrong = [t for t, _ in BAD if (data := parsed(t)) and not structure_is_good(data)]
    for text in wrong[::4]:
        (tmp_path / "bad.toml").write_text(text)
        done = subprocess.run(
            [*command, "bad.toml"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0, text
