"""What targets come to, and what they declare, become tables that inherit, or have a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.convert.declared import as_declared
from buildx_tasks.convert.hcl import Block, blocks
from buildx_tasks.convert.keeping import Kept, kept
from buildx_tasks.convert.likeness import alike

if TYPE_CHECKING:
    from collections.abc import Mapping

HCL = """
variable "V" { default = "1" }
target "_base" { args = { A = "1" } }
target "child" {
  inherits = ["_base", "other"]
  args = {
    A = "1"
    "b.c" = V
  }
  tags = ["x:${V}"]
}
target "m" {
  name = "m-${replace(v, ".", "-")}-${lower(os.name)}"
  matrix = {
    v = ["1.2", 3]
    os = [{ name = "X", "n" = true }]
    w = split(",", WORDS)
  }
}
target "n" {
  name = "n-${a == "b" ? "c" : a}"
  matrix = { a = [for x in y : x] }
}
target "o" {
  inherits = ["base-${V}"]
}
"""


def test_what_hcl_declares() -> None:
    found = blocks([HCL])
    assert found["child"] == Block(
        "child",
        {"args": frozenset({"A", "b.c"}), "tags": frozenset()},
        ["_base", "other"],
        None,
        "",
    )
    assert found["m"].matrix == {"v": ["1.2", 3], "os": [{"name": "X", "n": True}], "w": "WORDS"}
    assert found["m"].named({"v": "1.2", "os.name": "Xy"}) == "m-1-2-xy"
    assert found["m"].named({"v": "1.2"}) is None
    assert found["n"].matrix is None
    assert found["n"].named({"a": "b"}) is None
    assert found["o"].inherits == []


def test_what_json_declares_and_later_files_add() -> None:
    json = '{"target": {"a": [{"inherits": ["b"], "args": {"X": "1"}}]}}'
    found = blocks([json, 'target "a" {\n  args = { Y = "2" }\n  target = "t"\n}\n'])
    assert found["a"].inherits == ["b"]
    assert found["a"].keys == {"args": frozenset({"X", "Y"}), "target": frozenset()}


@pytest.mark.parametrize("text", ['target "a" {', "{", "services:\n  a: x\n"])
def test_what_cannot_be_taken_apart_declares_nothing(text: str) -> None:
    assert blocks([HCL, text]) == {}


@pytest.mark.parametrize(
    ("said", "cells", "template"),
    [
        (["a", "a"], [{"v": "1"}, {"v": "2"}], "a"),
        (["a:1", "a:2"], [{"v": "1"}, {"v": "2"}], "a:${v}"),
        (["1-x", "1-y"], [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}], "1-${b}"),
        (["x1:1", "y2:2"], [{"a": "x", "b": "1"}, {"a": "y", "b": "2"}], "${a}${b}:${b}"),
        (["v1-2", "v1-3"], [{"v": "1.2"}, {"v": "1.3"}], "v${v|replace('.', '-')}"),
        (["A", "B"], [{"v": "a"}, {"v": "b"}], "${v|upper}"),
        (["app-1-a", "app-2-b"], [{"v": "1", "n": "a"}, {"v": "2", "n": "b"}], "app-${v}-${n}"),
        (["1.24-x", "1.25-x"], [{"v": "1.24"}, {"v": "1.25"}], "${v}-x"),
        (["FROM a:1\n" * 300, "FROM a:2\n" * 300], [{"v": "1"}, {"v": "2"}], "FROM a:${v}\n" * 300),
        (["a:1", "b:1"], [{"v": "1"}, {"v": "2"}], None),
        (["full", "slim"], [{"v": "x"}, {"v": ""}], None),
        ([{"A": "1"}, {"A": "2"}], [{"v": "1"}, {"v": "2"}], {"A": "${v}"}),
        ([{"A": "1"}, {"B": "2"}], [{"v": "1"}, {"v": "2"}], None),
        ([["a", "1"], ["a", "2"]], [{"v": "1"}, {"v": "2"}], ["a", "${v}"]),
        ([["a"], ["a", "2"]], [{"v": "1"}, {"v": "2"}], None),
        ([True, False], [{"v": "true"}, {"v": "false"}], None),
    ],
)
def test_templates(said: list[Any], cells: list[dict[str, str]], template: Any) -> None:
    assert alike(said, cells) == template


def of(targets: dict[str, Any], groups: dict[str, Any] | None = None) -> Kept:
    data: dict[str, Any] = {"target": targets, **({"group": groups} if groups else {})}

    return kept(lambda _: data, lambda _: {}, data, lambda _, __: [])


def test_inheritance_is_what_a_target_has_beside_its_parents() -> None:
    base = {"args": {"A": "1", "B": "2"}, "platforms": ["linux/amd64"], "cache-from": ["x"]}
    child = {**base, "args": {"A": "1", "B": "3"}, "tags": ["c:1"], "cache-from": ["x", "y"]}
    found = as_declared(
        of({"base": base, "child": child}),
        {"child": Block("child", {"args": frozenset({"A"})}, ["base"], None, "")},
    )
    assert found.worked_out == []
    assert found.data["target"]["child"] == {
        "inherits": ["base"],
        "args": {"A": "1", "B": "3"},
        "tags": ["c:1"],
        "cache-from": ["y"],
    }


def test_what_would_come_to_something_else_is_worked_out_alone() -> None:
    base = {"tags": ["b:1"], "dockerfile": "D"}
    blocks = {
        "gone": Block("gone", {}, ["base"], None, ""),
        "good": Block("good", {}, ["base"], None, ""),
        "unknown": Block("unknown", {}, ["nobody"], None, ""),
    }
    targets = {"base": base, "gone": {"target": "g"}, "good": {"tags": ["g:1"]}, "unknown": {}}
    found = as_declared(of({**targets, "unknown": {"target": "u"}}), blocks)
    assert found.data["target"]["gone"] == {"target": "g"}
    assert found.data["target"]["good"] == {
        "inherits": ["base"],
        "tags": ["g:1"],
        "dockerfile": "Dockerfile",
    }
    assert found.worked_out == ["unknown", "gone"]


def test_a_matrix_stays_with_its_group_gone() -> None:
    targets = {
        "m-1": {"args": {"V": "1"}, "tags": ["m:1"]},
        "m-2": {"args": {"V": "2"}, "tags": ["m:2"]},
        "z": {"target": "z"},
    }
    groups = {"m": {"targets": ["m-1", "m-2"]}, "all": {"targets": ["m", "z"]}}
    block = Block("m", {}, [], {"v": ["1", "2"]}, "m-${v}")
    found = as_declared(of(targets, groups), {"m": block})
    assert found.data["group"] == {"all": {"targets": ["m", "z"]}}
    assert found.data["target"] == {
        "m": {
            "name": "m-${v}",
            "matrix": {"v": ["1", "2"]},
            "args": {"V": "${v}"},
            "tags": ["m:${v}"],
        },
        "z": {"target": "z"},
    }


def test_an_axis_is_a_variable() -> None:
    def answers(values: Mapping[str, str]) -> dict[str, Any]:
        names = (values.get("V") or "1,2").split(",")
        return {
            "group": {"m": {"targets": [f"m-{name}" for name in names]}},
            "target": {f"m-{name}": {"tags": [f"m:{name}"]} for name in names},
        }

    def others(_: str, probe: str) -> list[str]:
        return [f"{probe}y,{probe}z"]

    found = kept(answers, lambda _: {"V": "1,2", "L": '["1", "2"]'}, answers({}), others)
    assert (found.frozen, found.unused) == (["V"], ["L"])
    of_variable = as_declared(found, {"m": Block("m", {}, [], {"v": "V"}, "m-${v}")})
    assert of_variable.variables == {"V": {"type": "list", "default": ["1", "2"]}}
    assert of_variable.data["target"]["m"]["matrix"] == {"v": ["${V}"]}
    of_list = as_declared(found, {"m": Block("m", {}, [], {"v": "L"}, "m-${v}")})
    assert of_list.data["target"]["m"]["matrix"] == {"v": ["1", "2"]}


@pytest.mark.parametrize(
    "block",
    [
        Block("m", {}, [], None, "m-${v}"),
        Block("m", {}, [], {"v": ["1"]}, "m-${w}"),
        Block("m", {}, [], {"v": ["1", "3"]}, "m-${v}"),
        Block("m", {}, [], {"v": [["1"], ["2"]]}, "m-${v}"),
        Block("m", {}, [], {"v": "UNKNOWN"}, "m-${v}"),
    ],
)
def test_a_matrix_that_cannot_be_told_is_worked_out(block: Block) -> None:
    targets = {"m-1": {"tags": ["m:1"]}, "m-2": {"tags": ["m:2"]}}
    groups = {"m": {"targets": ["m-1", "m-2"]}}
    found = as_declared(of(targets, groups), {"m": block})
    assert (found.worked_out, set(found.data["target"])) == (["m"], {"m-1", "m-2"})
