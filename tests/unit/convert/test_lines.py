"""Commands of a shell become targets whose paths are from here, whatever the shell moved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildx_tasks.convert import lines, shell
from buildx_tasks.convert.baking import Bakes
from buildx_tasks.machine.commands import Commands

TOP = "T=$(git rev-parse --show-toplevel)\n"


def target(text: str, here: str = ".", folder: str = ".") -> dict[str, Any]:
    steps = [lines.Step(one, "all", "x.sh:1", folder) for one in shell.commands(text, here)]
    found: dict[str, Any] = lines.read(steps, Bakes(Commands(Path()))).data["target"]["all"]
    return found


@pytest.mark.parametrize(
    ("text", "context", "dockerfile"),
    [
        (TOP + 'cd $T/svc; docker build -f "$T/docker/D" $T', ".", "docker/D"),
        (TOP + "cd $T; docker build -f $T/docker/D svc", "svc", "../docker/D"),
        ('T=$(cd "$(dirname "$0")/.." && pwd)\ncd $T/svc\ndocker build -f $T/D .', "svc", "../D"),
        ('T=$(dirname "$(dirname "$(realpath "$0")")"); docker build -f $T/D x', "x", "../D"),
        ('cd "$(dirname "$0")"; docker build -f $(pwd)/D "$PWD"', "scripts", "D"),
        ('D=$(dirname "$0"); docker build -f $D/D $D/x', "scripts/x", "../D"),
        ("D=$PWD; cd sub; docker build -f $D/D $D", None, "D"),
        ("docker build -f $PWD/docker/D $PWD", None, "./docker/D"),
        ("cd $HOME/x; docker build -f $(pwd)/D $PWD", "${HOME}/x", "${HOME}/x/D"),
        ("cd /else/where; docker build -f $(pwd)/D $PWD", "/else/where", "/else/where/D"),
    ],
)
def test_a_known_folder_stays_where_it_is(text: str, context: str | None, dockerfile: str) -> None:
    found = target(text, "scripts")
    assert found.get("context") in {context, context or "."}
    assert found["dockerfile"] == dockerfile


def test_where_the_shell_starts_is_another_folder() -> None:
    text = "D=$PWD; cd sub; docker build -f $D/D --cache-to type=local,dest=$D/c $D"
    assert target(text, folder="package") == {
        "context": "package",
        "dockerfile": "D",
        "cache-to": ["type=local,dest=package/c"],
    }
    text = TOP + "docker build --build-arg T=$T/x --build-context a=$T/a $T"
    assert target(text, folder="package") == {
        "context": ".",
        "args": {"T": "../x"},
        "contexts": {"a": "a"},
    }


def test_parts_of_one_variable_have_names_of_their_own() -> None:
    text = "docker build -t a:${SHA:0:7} -t a:${SHA:0:12} -t a:${SHA: -7} -t a:$SHA ."
    assert target(text)["tags"] == [
        "a:${SHA_PART_0_7}",
        "a:${SHA_PART_0_12}",
        "a:${SHA_PART_LAST_7}",
        "a:${SHA}",
    ]
    assert target("SHA=0123456789; docker build -t a:${SHA:0:7} .")["tags"] == ["a:0123456"]
