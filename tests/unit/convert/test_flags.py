"""The words of docker's commands become tables, or are named; none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from buildx_tasks.convert import flags


@pytest.mark.parametrize(
    ("words", "table"),
    [
        ("-t a -ta:1 --tag=b .", {"tags": ["a", "a:1", "b"]}),
        ("--no-cache=false --pull .", {"no-cache": False, "pull": True}),
        ("--add-host a:1,b=2 .", {"extra-hosts": {"a": "1", "b": "2"}}),
        ("--platform linux/amd64,linux/arm64 x", {"context": "x", "platforms": 2}),
        ("-f d/Dockerfile d", {"context": "d", "dockerfile": "Dockerfile"}),
        ("-f Dockerfile https://h/x.git", {"context": "https://h/x.git", "dockerfile": 1}),
        ("--check .", {"call": "check"}),
        ("--provenance=false --sbom true .", {"attest": 2}),
        ("--load --push -q .", {}),
    ],
)
def test_build(words: str, table: dict[str, Any]) -> None:
    found = flags.target(words.split()).table
    assert found.keys() == table.keys()
    for key, value in table.items():
        assert found[key] == value or isinstance(value, int)


def test_what_is_no_attribute_is_named_with_what_does_it_here() -> None:
    read = flags.target("--load --iidfile f --squash --rm a b".split())
    assert read.table == {"context": "a"}
    assert read.comments == [
        "--load: images are in the engine's store after invoke build",
        "--iidfile f: invoke build --format json has the digests",
        "--squash: bake has nothing like it, left out",
        "--rm: BuildKit leaves no containers",
        "b: a second context, left out",
    ]


def test_what_a_script_hands_on_is_named() -> None:
    read = flags.target(["-t", "a", ".", "$@"])
    assert read.table == {"tags": ["a"]}
    assert read.comments == ["$@: what is handed on is left out; invoke build --set says it"]
    assert flags.baked(["$*", "x"]).targets == ["x"]


def test_create() -> None:
    made = flags.builder(
        "--name b --driver remote --driver-opt a=1,b=2 --platform linux/amd64 --use tcp://h".split()
    )
    assert made.table == {"name": "b", "driver": "remote"}
    assert made.node == {
        "driver-opts": {"a": "1", "b": "2"},
        "platforms": ["linux/amd64"],
        "endpoint": "tcp://h",
    }
    assert (made.comments, made.appended) == (["--use: invoke setup uses it"], False)
    assert flags.builder("--append --node n".split()).node == {"name": "n"}


def test_bake() -> None:
    told = flags.baked("-f a.hcl --file=b.json --set *.args.A=1 --pull --push --print x y".split())
    assert told.files == ["a.hcl", "b.json"]
    assert told.targets == ["x", "y"]
    assert told.options == ["--set", "*.args.A=1", "--pull"]
    assert [one.partition(":")[0] for one in told.comments] == ["--push", "--print"]
