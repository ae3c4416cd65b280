from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading

ROOT = Path(__file__).parents[3]
BASE = '[target.a]\nplatforms = ["linux/arm64"]\n'


def test_a_file_that_is_not_utf8_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "buildx.toml"
    path.write_bytes("[target.ä]\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^buildx.toml:1:9: not valid UTF-8"):
        loading.load(path)


def test_a_missing_file_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found in .* or any folder above it") as caught:
        loading.find(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_the_file_is_found_from_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text(BASE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert loading.find(tmp_path / "a" / "b") == tmp_path / "buildx.toml"


def test_the_bundled_sample_loads() -> None:
    config = loading.load(ROOT / "buildx.toml")
    assert {"hello-emulated", "hello-cross", "hello-prebuilt"} <= set(config.target)
    assert config.builder is not None


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_loads_or_is_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "buildx.toml"
    path.write_bytes((BASE + text).encode())
    try:
        loading.load(path)
    except ConfigError as error:
        assert str(error).startswith("buildx.toml:")  # noqa: PT017


TOML_VALUES = st.sampled_from(
    ["1", "true", '""', '"x"', "[]", "[1]", '["x"]', "{}", "{ k = 1 }", '{ k = "x" }', "1.5"]
)
PLACES = st.sampled_from(
    [
        *("target.a", "target.a.args", "target.a.tags", "target.a.platforms", "target.a.verify"),
        *("target.a.verify.stdout", "target.a.contexts", "target.a.output", "target.a.pull"),
        *("group", "group.g", "group.g.targets", "builder", "builder.name", "builder.driver"),
        *("emulators", "emulators.from", "builder.driver-opts", "target", "target.b.ssh"),
    ]
)


@given(PLACES, TOML_VALUES)
def test_a_value_of_any_type_anywhere_is_no_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: str, value: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "buildx.toml"
    path.write_text(f"{place} = {value}\n")
    try:
        loading.load(path)
    except ConfigError as error:
        assert str(error).startswith("buildx.toml:1:")  # noqa: PT017
