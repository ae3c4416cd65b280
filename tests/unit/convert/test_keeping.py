"""Which variables of another tool stay variables, with Python in that tool's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest

from buildx_tasks.convert.keeping import kept, several, steady

if TYPE_CHECKING:
    from collections.abc import Mapping

Values = dict[str, str]


def imported(
    build: Callable[[Values], dict[str, Any]], defaults: Mapping[str, str | None]
) -> tuple[Any, Any, list[str]]:
    """Return the target, the variables and what is frozen, of what ``build`` makes of values."""

    def answers(values: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            table = build({**{k: v or "" for k, v in defaults.items()}, **values})
        except ValueError:
            return None
        return {"target": {"app": table}}

    plain = answers({})
    assert plain
    found = kept(answers, lambda _: defaults, plain, lambda _, probe: ["", several(probe)])
    return found.data["target"]["app"], found.variables, found.frozen


def refusing(_: Values) -> dict[str, Any]:
    if _["V"] != "1":
        raise ValueError
    return {"tags": ["a:1"]}


@pytest.mark.parametrize(
    ("build", "defaults", "target", "variables"),
    [
        (
            lambda v: {"args": {"A": v["V"], "B": f"x-{v['V']}-{v['W']}"}},
            {"V": "1.2", "W": "w"},
            {"args": {"A": "${V}", "B": "x-${V}-${W}"}},
            {"V": {"default": "1.2"}, "W": {"default": "w"}},
        ),
        (
            lambda v: {"args": {"A": v["V"], "B": "$${HOME}"}},
            {"V": "x"},
            {"args": {"A": "${V}", "B": "$${HOME}"}},
            {"V": {"default": "x"}},
        ),
        (
            lambda v: {"platforms": v["P"].split(",") if v["P"] else ["linux/amd64"]},
            {"P": "linux/amd64,linux/arm64"},
            {"platforms": ["linux/amd64", "linux/arm64"]},
            {},
        ),
        (
            lambda v: {"annotations": [f"a={t}" for t in v["T"].split(",") if t]},
            {"T": "x,y"},
            {"annotations": ["a=${T}"]},
            {"T": {"type": "list", "default": ["x", "y"]}},
        ),
        (
            lambda v: {"no-cache": v["F"] == "true", "args": {"F": f"<{v['F']}>"}},
            {"F": "false"},
            {"no-cache": "${F}", "args": {"F": "<${F}>"}},
            {"F": {"default": False}},
        ),
        (
            lambda v: {"args": {"N": v["N"]}},
            {"N": "7"},
            {"args": {"N": "${N}"}},
            {"N": {"default": "7"}},
        ),
        (lambda v: {"args": {"A": v["V"].upper()}}, {"V": "x"}, {"args": {"A": "X"}}, {}),
        (lambda v: {"args": {"A": "1" if v["V"] else "0"}}, {"V": ""}, {"args": {"A": "0"}}, {}),
        (refusing, {"V": "1"}, {"tags": ["a:1"]}, {}),
    ],
)
def test_a_variable_stays_where_it_comes_to_the_same(
    build: Callable[[Values], dict[str, Any]],
    defaults: dict[str, str | None],
    target: Any,
    variables: Any,
) -> None:
    found, tables, frozen = imported(build, defaults)
    assert (found, tables) == (target, variables)
    assert sorted([*frozen, *tables]) == sorted(defaults)


def test_a_wrong_one_takes_no_other_with_it() -> None:
    found, tables, frozen = imported(
        lambda v: {"args": {"A": v["A"] + v["B"].title(), "C": v["C"]}},
        {"A": "a", "B": "b", "C": "c"},
    )
    assert found == {"args": {"A": "${A}B", "C": "${C}"}}
    assert (list(tables), frozen) == (["A", "C"], ["B"])


def test_what_is_another_value_each_time_is_not_taken_for_a_variable_s() -> None:
    times = iter("12345678")

    def answers(values: Mapping[str, str]) -> dict[str, Any]:
        return {"target": {"a": {"args": {"T": next(times), "V": values.get("V", "v")}}}}

    plain = answers({})
    calm = steady(answers, plain, answers({}))
    found = kept(calm, lambda _: {"V": "v"}, plain, lambda _, __: [])
    assert found.data["target"]["a"]["args"] == {"T": "1", "V": "${V}"}
