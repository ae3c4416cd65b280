from __future__ import annotations

import datetime as dt
import email.utils
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests import Response

from buildx_tasks.errors import MissingError, RegistryError
from buildx_tasks.registry import endpoints, faults
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.registries import Registries

if TYPE_CHECKING:
    from buildx_tasks.registry.repository import Repository


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    made = Response()
    made.status_code = status
    made._content = body
    made.headers.update({key.replace("_", "-"): value for key, value in headers.items()})
    return made


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, b"", RegistryError, "run docker login localhost:5000"),
        (403, b"<html>", RegistryError, "ask for the right to push there"),
        (404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}', MissingError, "not found (NAME_UNKNOWN)"),
        (403, b'{"errors": [{"message": "quota exceeded"}]}', RegistryError, "raise the quota"),
        (429, b"", PassingError, "HTTP 429"),
        (503, b"", PassingError, "HTTP 503"),
    ],
)
def test_what_a_status_means(status: int, body: bytes, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        faults.check(answer(status, body), "localhost:5000/app:v1", "localhost:5000")
    assert said in str(caught.value)


@pytest.mark.parametrize("value", ["²", "soon", "Tue, 24 Nov 2026 10:00:00 -0000", ""])
def test_an_impossible_retry_after_asks_for_nothing(value: str) -> None:
    with pytest.raises(PassingError) as caught:
        faults.check(answer(429, Retry_After=value), "x", "y")
    assert caught.value.pause == 0


def test_retry_after_is_seconds_or_a_date() -> None:
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=30)
    for value in ("30", email.utils.format_datetime(later, usegmt=True)):
        with pytest.raises(PassingError) as caught:
            faults.check(answer(429, Retry_After=value), "x", "y")
        assert 25 < caught.value.pause <= 30
    assert faults.pause_before(2, 30) == faults.LONGEST_PAUSE


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("127.example.com", False),
        ("registry.example.com:5000", False),
    ],
)
def test_only_this_machine_is_this_machine(host: str, local: bool) -> None:
    assert endpoints.is_loopback(host) is local


def at(port: int) -> Repository:
    return Registries(None, dict, Path()).of(f"127.0.0.1:{port}/app")


def test_a_registry_that_keeps_silent_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limited = at(silent.getsockname()[1]).within(0.3)
        began = time.monotonic()
        for _ in range(2):  # altogether
            with pytest.raises(RegistryError, match=r"/app:v1: no answer in 0\.3 s$"):
                limited.get("v1")
        assert time.monotonic() - began < 30


def test_what_was_wrong_until_the_time_is_over_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(RegistryError, match=r"^gone: Connection refused$"):
        at(port).within(0.3).get("v1", what="gone")
