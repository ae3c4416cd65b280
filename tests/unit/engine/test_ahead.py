"""Answers that were asked for ahead: each given once, and never one of before a change."""

from __future__ import annotations

import threading

import pytest

from buildx_tasks.engine import ahead
from buildx_tasks.engine.ahead import Ahead
from buildx_tasks.engine.api import Answer
from buildx_tasks.engine.faults import lost
from buildx_tasks.errors import EngineError


def _answer(name: str) -> Answer:
    return Answer(200, name.encode(), "")


def test_an_answer_is_waited_for_and_given_once() -> None:
    may_answer = threading.Event()

    def slowly(name: str) -> Answer:
        may_answer.wait(10)
        return _answer(name)

    asked = Ahead(lambda: 0)
    asked.begin(["a", "b", "a"], slowly)
    assert asked.taken("c") is None
    threading.Timer(0.05, may_answer.set).start()
    assert asked.taken("a") == _answer("a")
    assert asked.taken("a") is None
    assert asked.taken("b") == _answer("b")


def test_no_answer_outlives_a_command() -> None:
    commands = [0]
    asked = Ahead(lambda: commands[0])
    asked.begin(["a"], _answer)
    commands[0] += 1
    assert asked.taken("a") is None
    asked.begin(["a"], _answer)
    assert asked.taken("a") == _answer("a")


def test_no_answer_is_taken_for_that_of_much_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_SECONDS", -1.0)
    asked = Ahead(lambda: 0)
    asked.begin(["a"], _answer)
    assert asked.taken("a") is None


@pytest.mark.parametrize("error", [EngineError("none"), lost("broken off")])
def test_who_asks_once_more_hears_what_is_wrong(error: Exception) -> None:
    def fails(_: str) -> Answer:
        raise error

    asked = Ahead(lambda: 0)
    asked.begin(["a"], fails)
    assert asked.taken("a") is None
