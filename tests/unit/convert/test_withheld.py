"""What may say a secret is known by its words; the environment's are references for who is asked."""

from __future__ import annotations

import pytest

from buildx_tasks.convert.withheld import environment, may_be_secret


@pytest.mark.parametrize(
    "asked",
    [
        "$(shell gh auth token)",
        "$(shell echo $$GITHUB_TOKEN)",
        "$(shell cat my-token.txt)",
        "$(shell aws ecr get-login-password)",
        "$(shell printenv X)",
        "$(shell env | grep X)",
        "$(shell echo $$DB_PWD)",
        "$(shell pass show x)",
        "vault read x",
        "sh: op read op://a/b",
        "sh: cat ~/.apiKey",
    ],
)
def test_may_be_secret(asked: str) -> None:
    assert may_be_secret(asked)


@pytest.mark.parametrize(
    "asked",
    [
        "$(shell git describe --tags)",
        "$(shell cat VERSION)",
        "$(shell date -u +%F)",
        "$(shell go env GOPATH)",
        "sh: git log -1 --format=%an",
        "$(shell uname -m)",
        "$(shell pwd)",
        "$(shell cd $$PWD/.. && pwd -P)",
        "",
    ],
)
def test_all_else_may_not(asked: str) -> None:
    assert not may_be_secret(asked)


def test_references_in_place_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A_TOKEN", "B_SECRET", "C_KEY", "PLAIN", "OTHER_TOKEN", "PWD"):
        monkeypatch.setenv(name, "x")
    text = "$$A_TOKEN ${B_SECRET} $(shell printenv C_KEY) $PLAIN $$NOT_HERE_TOKEN $A_TOKEN $PWD"
    assert list(environment(text)) == [f"{n}=${{{n}}}" for n in ("A_TOKEN", "B_SECRET", "C_KEY")]
