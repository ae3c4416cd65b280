"""The same declarations, worked out by docker buildx bake --print and by us: no difference.

Intended differences, each with a test below: the order of a matrix's targets in its group (bake's is
random), a circle of ``inherits`` (bake leaves a part out in silence), ``context = "target:…"`` (bake
takes it for a path), and a list variable, which is an element of a list (``["${LIST}"]``) and not its
place. Two selected targets with the same tag are refused.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from invoke import Context, Result

from buildx_tasks.convert.bake import convert
from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading
from buildx_tasks.machine.commands import Commands
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.selection import make_plan

from .conftest import buildx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPUS = sorted((Path(__file__).parent / "bake_corpus").iterdir())
# What the template language of TOML and of bake's JSON have in common.
TWINS = [
    path
    for path in CORPUS
    if path.suffix == ".json"
    and path.stem not in {"matrix-variable", "variable-types"}  # a list as a whole: see below
]
ENVIRONMENT = {"CORPUS_V": "from outside", "CORPUS_N": "7", "CORPUS_B": "true"}


def answer(command: str) -> Result:
    return _answer(command, tuple(map(os.environ.get, ENVIRONMENT)))


@functools.cache
def _answer(command: str, _: tuple[str | None, ...]) -> Result:
    """Ask bake for real, but once: many tests ask the same of a file, and no file changes here."""
    words = shlex.split(command)
    start = words.index("docker")
    assert words[start + 1] == "buildx"
    asked = [*words[:start], buildx(), *words[start + 2 :]]
    done = subprocess.run(
        asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Result(done.stdout, done.stderr, exited=done.returncode)


class Asked(Context):
    """Runs questions to bake, each of them once."""

    def run(self, command: str, **_: Any) -> Result:
        return answer(command)


ASKED = Commands(Path(), Asked())


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What bake looks for even when it only prints: secret files and an SSH agent."""
    folder = tmp_path_factory.mktemp("twin")
    with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX) as agent:
        patch.chdir(folder)
        Path("secret.txt").write_text("x")
        Path("Dockerfile").write_text("FROM scratch\n")
        for key, value in ENVIRONMENT.items():
            patch.setenv(key, value)
        agent.bind("agent.sock")
        agent.listen()
        patch.setenv("SSH_AUTH_SOCK", str(folder / "agent.sock"))
        yield


def bake(path: Path, *options: str) -> Any:
    done = answer(shlex.join(["docker", "buildx", "bake", "--file", str(path), *options]))
    assert done.ok, done.stderr
    return json.loads(done.stdout)


def bake_print(path: Path, *targets: str) -> Any:
    return bake(path, "--print", *targets)


def ours(text: str, targets: Sequence[str] = ()) -> Any:
    path = Path("buildx.toml")
    path.write_text(text)
    # Through JSON, as bake's is.
    return json.loads(json.dumps(bake_definition(make_plan(loading.load(path), targets))))


def comparable(definition: Any) -> Any:
    """Sort the members of groups: bake's order within a matrix changes from run to run."""
    for group in definition["group"].values():
        group["targets"].sort()
    return definition


def names(path: Path) -> list[str]:
    return [entry["name"] for entry in bake(path, "--list", "type=targets,format=json")]


def selectable(path: Path, listed: list[str]) -> list[str]:
    if path.stem in {"inherit-all", "inherit-order"}:
        return ["app"]  # its parents have the same tags: building both at once is refused
    return [name for name in listed if name != "default"] or ["default"]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 80
    assert len(TWINS) >= 60


def without_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's environment holds is not imported: bake is not to see it either."""
    if any(key in path.read_text() for key in ENVIRONMENT):
        for key in ENVIRONMENT:
            monkeypatch.delenv(key)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_import_expands_to_what_bake_prints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_environment(path, monkeypatch)
    text = convert(ASKED, [path]).text
    listed = names(path)
    if "default" in listed:
        assert comparable(ours(text)) == comparable(bake_print(path))
    everything = selectable(path, listed)
    assert comparable(ours(text, everything)) == comparable(bake_print(path, *everything))


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.name)
def test_the_same_declarations_in_toml_come_to_the_same(path: Path) -> None:
    text = tomli_w.dumps(without_nulls(json.loads(path.read_text().replace("%%{", "%{"))))
    listed = names(path)
    if "default" in listed:
        assert comparable(ours(text)) == comparable(bake_print(path))
    everything = selectable(path, listed)
    assert comparable(ours(text, everything)) == comparable(bake_print(path, *everything))


@pytest.mark.parametrize("path", CORPUS[::4], ids=lambda path: path.name)
def test_bake_takes_our_definition_and_returns_it_unchanged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_environment(path, monkeypatch)
    definition = ours(convert(ASKED, [path]).text)
    written = Path(f"ours-{path.stem}.json")
    written.write_text(json.dumps(definition))
    assert comparable(bake_print(written)) == comparable(definition)


def test_a_circle_of_inherits_is_an_error_where_bake_is_silent() -> None:
    targets = {"a": {"inherits": ["b"], "target": "a"}, "b": {"inherits": ["a"], "tags": ["b"]}}
    Path("circle.json").write_text(json.dumps({"target": targets}))
    assert bake_print(Path("circle.json"), "a")["target"]["a"]["tags"] == ["b"]
    with pytest.raises(ConfigError, match="targets inherit from each other: a → b → a"):
        ours(tomli_w.dumps({"target": targets}))


def test_a_context_that_is_a_target_is_an_error_where_bake_takes_a_path() -> None:
    targets = {"a": {"context": "target:b"}, "b": {"target": "b"}}
    Path("context.json").write_text(json.dumps({"target": targets}))
    assert bake_print(Path("context.json"), "a")["target"].keys() == {"a"}
    with pytest.raises(ConfigError, match="a context cannot be another target"):
        ours(tomli_w.dumps({"target": targets}))


def test_a_list_variable_is_spliced_as_an_element() -> None:
    path = CORPUS[0].parent / "variable-types.json"
    text = tomli_w.dumps(json.loads(path.read_text().replace('"${P}"', '["${P}"]')))
    assert comparable(ours(text)) == comparable(bake_print(path))
