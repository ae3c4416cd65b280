from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks import loading
from buildx_tasks.errors import ConfigError

ROOT = Path(__file__).parents[2]
BASE = '[target.a]\nplatforms = ["linux/arm64"]\n'

# What is written, and the whole line that a person gets.
BAD = [
    ("a = [1,\n", "2:1: not valid TOML: Invalid value"),
    ("a = \n", "1:5: not valid TOML: Invalid value"),
    (BASE + "a = 1\na = 2\n", "4:6: not valid TOML: Cannot overwrite a value"),
    ("targt = 1", '1:1: unknown key "targt" in the file; did you mean "target"?'),
    (BASE + "tgas = []", '3:1: unknown key "tgas" in [target.a]; did you mean "tags"?'),
    (
        BASE + "[target.a.verify]\nstdut = ''",
        '4:1: unknown key "stdut" in [target.a.verify]; did you mean "stdout"?',
    ),
    (BASE + "tags = [3]", "3:9: item 1 must be a string, not a whole number"),
    (BASE + 'tags = [""]', "3:9: item 1 must be a string that is not empty"),
    (BASE + "args = { A = 1 }", '3:14: "A" must be a string, not a whole number'),
    (BASE + "[target.b]\nargs.K = 2", '4:10: "K" must be a string, not a whole number'),
    (BASE + 'no-cache = "x"', '3:12: "no-cache" must be true or false, not a string'),
    (BASE + "verify.timeout = 0", '3:18: "timeout" must be a number above 0'),
    ("target = 3", '1:10: "target" must be a table, not a whole number'),
    ("", "1:1: no [target.NAME] is declared; add one with platforms and tags"),
    ("[target]", "1:2: no [target.NAME] is declared; add one with platforms and tags"),
    (
        BASE + "[target.c]",
        "3:9: [target.c] is empty; give it at least a context, a dockerfile or platforms",
    ),
    (
        '[target.a]\nplatforms = ["linux/arm46"]',
        '2:14: "linux/arm46" is no platform: unknown architecture "arm46"; did you mean "arm64"?',
    ),
    ("[target.a]\nplatforms = []", '2:13: "platforms" must be a list that is not empty'),
    (
        '[target.a]\nplatforms = ["linux/arm64", "arm64"]',
        '2:29: "arm64" is the same platform as "linux/arm64"; keep one',
    ),
    (
        BASE + 'tags = ["X"]',
        '3:9: "X" is no image reference; write [registry/]repository[:tag] in lower case, '
        "as in localhost:5000/app:v1",
    ),
    (
        BASE + 'tags = ["x"]\n[target.b]\ntags = ["x:latest"]',
        '5:9: tag "x:latest" is already the one of target "a"; give each target tags of its own',
    ),
    (
        '[target."x.y"]\nplatforms = ["linux/amd64"]',
        '1:9: target name "x.y" may only have letters, digits, "_" and "-"; rename it',
    ),
    (
        BASE + 'dockerfile = "x"\ndockerfile-inline = "y"',
        "4:1: [target.a] has both dockerfile and dockerfile-inline; keep one",
    ),
    (
        BASE + 'contexts = { x = "target:aa" }',
        '3:18: [target.a] builds on unknown target "aa"; did you mean "a"?',
    ),
    (
        BASE + 'context = "target:a"',
        "3:1: targets build on each other: a → a; remove one link",
    ),
    (
        BASE + '[group.g]\ntargets = ["h"]\n[group.h]\ntargets = ["g", "a"]',
        "3:8: groups contain each other: g → h → g; remove one of these members",
    ),
    (BASE + '[group.g]\ntargets = ["b"]', '4:12: [group.g] names unknown target "b"; declare it'),
    (
        BASE + '[group.a]\ntargets = ["a"]',
        '3:8: "a" is a target and a group; rename one of them',
    ),
    (BASE + "[group.g]", '3:8: [group.g] lacks "targets"; add it'),
    (BASE + "[builder]", '3:2: [builder] lacks "name"; add it'),
    (
        BASE + '[builder]\nname = "b"\ndriver = "dokcer"',
        '5:10: "driver" cannot be "dokcer"; did you mean "docker"? '
        "known: docker, docker-container, kubernetes, remote",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        loading.load(path)
    assert str(caught.value) == f"buildx.toml:{message}"
    assert caught.value.code == 2


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
