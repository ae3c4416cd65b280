from __future__ import annotations

from typing import Any

import msgspec
import pytest

from buildx_tasks.language import expectations
from buildx_tasks.verification.checks.config import annotation_problem, compare

CONFIG = {
    "Entrypoint": ["/app"],
    "Cmd": ["--serve"],
    "User": "1000:1000",
    "Env": ["A=1", "EMPTY=", "B=x=y"],
    "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    "Labels": {"org.example": "yes"},
    "WorkingDir": "/srv",
    "Healthcheck": {"Test": ["CMD", "/app", "--check"]},
    "StopSignal": "SIGINT",
}


def problems(config: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    spec = msgspec.convert(expected, expectations.Config)
    return list(compare(config, spec))


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"entrypoint": ["/app"], "cmd": ["--serve"], "user": "1000:1000", "nonroot": True},
        {"env": {"A": "1", "EMPTY": "", "B": "x=y"}},
        {"ports": [8080, "53/udp"]},
        {"ports": ["53/udp", "8080/tcp", 8080]},
        {"labels": {"org.example": "yes"}, "working-dir": "/srv"},
        {"healthcheck": True, "stop-signal": "SIGINT"},
        {"healthcheck": ["CMD", "/app", "--check"]},
    ],
)
def test_what_is_as_expected_is_no_problem(expected: dict[str, Any]) -> None:
    assert problems(CONFIG, expected) == []


@pytest.mark.parametrize(
    "expected",
    [
        {"entrypoint": [], "cmd": [], "user": "", "ports": [], "stop-signal": ""},
        {"healthcheck": False, "working-dir": "/"},
    ],
)
def test_what_is_empty_is_not_set(expected: dict[str, Any]) -> None:
    unset = {"Entrypoint": None, "ExposedPorts": None, "WorkingDir": ""}
    assert problems({}, expected) == problems(unset, expected) == []
    assert problems({"Healthcheck": {"Test": ["NONE"]}}, expected) == []


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (
            {"entrypoint": []},
            'entrypoint: expected none, got ["/app"]; set ENTRYPOINT in the Dockerfile',
        ),
        ({"cmd": ["x"]}, 'cmd: expected ["x"], got ["--serve"]; set CMD in the Dockerfile'),
        ({"user": ""}, 'user: expected none, got "1000:1000"; set USER in the Dockerfile'),
        ({"env": {"A": "2"}}, 'env A: expected "2", got "1"; set ENV in the Dockerfile'),
        ({"env": {"EMPTY": "2"}}, 'env EMPTY: expected "2", got ""; set ENV in the Dockerfile'),
        ({"env": {"C": ""}}, 'env C: expected "", got nothing; set ENV in the Dockerfile'),
        (
            {"ports": [8080]},
            "ports: expected 8080/tcp, got 53/udp, 8080/tcp; set EXPOSE in the Dockerfile",
        ),
        (
            {"ports": []},
            "ports: expected none, got 53/udp, 8080/tcp; set EXPOSE in the Dockerfile",
        ),
        (
            {"labels": {"org.example": "no"}},
            'label org.example: expected "no", got "yes"; '
            "set labels in buildx.toml, or LABEL in the Dockerfile",
        ),
        (
            {"working-dir": "/"},
            'working-dir: expected "/", got "/srv"; set WORKDIR in the Dockerfile',
        ),
        (
            {"healthcheck": False},
            'healthcheck: expected none, got ["CMD","/app","--check"]; '
            "set HEALTHCHECK in the Dockerfile",
        ),
        (
            {"healthcheck": ["NONE"]},
            'healthcheck: expected ["NONE"], got ["CMD","/app","--check"]; '
            "set HEALTHCHECK in the Dockerfile",
        ),
        (
            {"stop-signal": "SIGTERM"},
            'stop-signal: expected "SIGTERM", got "SIGINT"; set STOPSIGNAL in the Dockerfile',
        ),
    ],
)
def test_problems_name_expected_actual_and_where_it_is_set(
    expected: dict[str, Any], problem: str
) -> None:
    assert problems(CONFIG, expected) == [problem]


def test_a_missing_healthcheck_is_said() -> None:
    assert problems({}, {"healthcheck": True}) == [
        "healthcheck: expected one, got none; set HEALTHCHECK in the Dockerfile"
    ]


@pytest.mark.parametrize("user", ["", "root", "0", "0:1000", "root:users", "00", "+0", "-0:5"])
def test_all_ways_to_be_root_are_known(user: str) -> None:
    (problem,) = problems({"User": user}, {"nonroot": True})
    assert problem.startswith("nonroot: ")
    assert "USER in the Dockerfile" in problem


@pytest.mark.parametrize("user", ["1000", "1000:0", "app", "10", "rooty"])
def test_others_are_not_root_by_their_name(user: str) -> None:
    assert problems({"User": user}, {"nonroot": True}) == []


def test_foreign_control_characters_are_shown_not_sent() -> None:
    (problem,) = problems({"User": "\x1b[2J\x9b1m"}, {"user": "app"})
    assert problem == ('user: expected "app", got "\\u001b[2J\\x9b1m"; set USER in the Dockerfile')


def test_an_annotation_that_is_elsewhere_says_where() -> None:
    elsewhere = {"the index has it": {"b": "x"}, "it is a label": {"b": "x", "c": "y"}}
    assert annotation_problem("b", "x", {"b": "z"}, elsewhere) == (
        'annotation b: expected "x", got "z", but the index has it, or set annotations in '
        'buildx.toml, as in "manifest:b=x"'
    )
    assert ", but it is a label, or set" in annotation_problem("c", "y", {}, elsewhere)
    assert annotation_problem("b", "other", {}, elsewhere) == (
        'annotation b: expected "other", got nothing; set annotations in buildx.toml, as in '
        '"manifest:b=other"'
    )
