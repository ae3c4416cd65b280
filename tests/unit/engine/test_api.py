"""The engine asked on its socket, without docker's library: what it says, and what goes wrong there."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.engine import api, faults
from buildx_tasks.engine.connection import no_answer, reach
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def said(status: int, body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


VERSION = said(200, json.dumps({"ApiVersion": "1.51", "Version": "28.5.2"}).encode())


@contextlib.contextmanager
def engine(connections: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Serve connections one after another, each with its answers; yield the path, and what was asked."""
    asked: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="bt") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/sock")
        listener.listen()

        def serve() -> None:
            for answers in connections:
                connection, _ = listener.accept()
                with connection:
                    for answer in answers:
                        asked.append(connection.recv(65536).decode().partition(" HTTP")[0])
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{folder}/sock", asked
        finally:
            thread.join()


def test_one_connection_is_used_again() -> None:
    with engine([[said(200, b"{}"), said(404, b"")]]) as (path, asked):
        asking = api.Sockets(path)
        assert asking.get("/info").good() == {}
        assert asking.get("/images/a:b/json", {"manifests": "1"}).status == 404
        asking.close()
    assert asked == ["GET /info", "GET /images/a:b/json?manifests=1"]


def test_an_engine_that_was_started_again_is_asked_again() -> None:
    with engine([[said(200, b"1")], [said(200, b"2")]]) as (path, asked):
        asking = api.Sockets(path)
        assert [asking.get("/info").good(), asking.get("/info").good()] == [1, 2]
        asking.close()
    assert asked == ["GET /info"] * 2


def test_a_refusal_has_the_engine_s_own_words() -> None:
    with engine([[said(500, b'{"message":"no space left"}'), said(403, b"nope")]]) as (path, _):
        asking = api.Sockets(path)
        with (
            pytest.raises(EngineError, match="the engine failed: no space left; see"),
            faults.faults(),
        ):
            asking.get("/info").good()
        with pytest.raises(faults.api_errors()) as caught:
            asking.get("/info").good()
        asking.close()
    assert (faults.status_of(caught.value), faults.words_of(caught.value)) == (403, "nope")


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0\r\n", said(200, b"<html>"), b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"],
)
def test_what_is_no_engine_is_a_connection_that_is_lost(answer: bytes) -> None:
    with (
        engine([[answer]]) as (path, _),
        contextlib.closing(api.Sockets(path)) as asking,
        pytest.raises(faults.lost_connections()),
    ):
        asking.get("/info").good()


def test_one_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_SECONDS", 0.2)
    with (
        tempfile.TemporaryDirectory(prefix="bt") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/sock")
        listener.listen()
        with pytest.raises(faults.timeouts()) as caught:
            api.Sockets(f"{folder}/sock").get("/info")
    assert "no Docker Engine answers (timed out);" in no_answer(caught.value)


def test_nobody_there_is_told_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(
        EngineError, match=r"no Docker Engine answers \(No such file or directory\)"
    ):
        reach()


OLD = "the engine's API is 1.47, needed is 1.48"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([said(200, b"OK", b"Api-Version: 1.47\r\n")], OLD),
        ([said(403, b""), VERSION.replace(b"1.51", b"1.47")], OLD),  # a proxy lets no ping through
        ([said(200, b"{}")] * 2, "no Docker Engine answers"),
        ([said(200, b"[]")] * 2, "no Docker Engine answers"),
        ([said(500, b'{"message":"down"}')] * 2, "no Docker Engine answers"),
    ],
)
def test_one_that_is_too_old_or_none(
    answers: list[bytes], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine([answers]) as (path, _):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(EngineError, match=words):
            reach()
