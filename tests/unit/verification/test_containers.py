from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests
from support import workspaces

from buildx_tasks.errors import EngineError
from buildx_tasks.images.image import Image
from buildx_tasks.language.targets import Target
from buildx_tasks.planning.cells import TargetPlan
from buildx_tasks.platforms import parse
from buildx_tasks.verification.check import Subject
from buildx_tasks.verification.containers import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARM = parse("linux/arm64")


class SlowEngine(BaseHTTPRequestHandler):
    """An engine that unpacks an image for a second before it creates the container."""

    def do_POST(self) -> None:
        time.sleep(1)
        self._say(201, {"Id": "c" * 64})

    def do_GET(self) -> None:
        about = {"ID": "engine", "SystemTime": "2026-11-25T22:00:00.5Z"}
        self._say(200, about if self.path.endswith("/info") else [])

    def do_DELETE(self) -> None:
        self._say(204, None)

    def _say(self, status: int, body: Any) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def slow_engine() -> Iterator[docker.DockerClient]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowEngine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"tcp://127.0.0.1:{server.server_port}"
    client = docker.DockerClient(base_url=url, version="1.48", timeout=0.3)
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_engine_may_take_long_to_create_a_container(tmp_path: Path) -> None:
    with slow_engine() as client:
        session = Session(workspaces.bare(tmp_path, client))
        target = TargetPlan("app", Target({}), (ARM,), (ARM,))
        subject = Subject(session, target, Image("app:v1", "d", {ARM: "m"}), ARM)
        with subject.created(["-"]) as container:
            assert container.id == "c" * 64
            # All else is as it was: an engine that does not answer is found out.
            with pytest.raises(requests.exceptions.Timeout):
                container.start()
        session.close()


def test_a_session_that_cannot_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "buildx-tasks").mkdir()
    (tmp_path / "buildx-tasks" / "sessions").touch()
    with pytest.raises(EngineError) as caught:
        Session(workspaces.bare(tmp_path, docker.DockerClient(version="1.48")))
    assert str(caught.value) == (
        f"{tmp_path}/buildx-tasks/sessions cannot be written: Not a directory; "
        "move away what is there, and run this again"
    )


def test_what_is_asked_once_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("x")
        time.sleep(0.2)
        return "answer"

    def fail() -> str:
        asked.append("y")
        raise EngineError("no")

    session = Session(workspaces.bare(tmp_path, docker.DockerClient(version="1.48")))
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: session.once("key", ask), "abc")) == {"answer"}
    for _ in "ab":
        with pytest.raises(EngineError, match="no"):
            session.once("other", fail)
    assert asked == ["x", "y"]
    session.close()  # nothing was made, so that no engine is asked
