"""Messages of BuildKit about a build of a Dockerfile of three instructions, and who takes them."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any

from buildx_tasks.building.standing import Reading
from buildx_tasks.building.vertices import Vertices
from buildx_tasks.building.watched import CellState, Event, Watched
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.engine import statuses
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.records.builds import Line

EPOCH = time.time()
TEXT = "FROM alpine:3.22\nRUN make\nRUN test\n"


def at(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(EPOCH + 1000 + seconds, dt.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


def vertex(number: int, name: str, *times: float, **more: Any) -> dict[str, Any]:
    moments = {key: at(value) for key, value in zip(("started", "completed"), times)}
    return {"digest": f"sha256:{number}", "name": name, **moments, **more}


def bake(
    names: Sequence[str] = ("app",),
    where: Sequence[str] = ("amd64", "arm64"),
    text: str | None = TEXT,
) -> Watched:
    platforms = [parse(f"linux/{one}") for one in where]
    own = {name: {p: f"{name}@{p}" for p in platforms} for name in names}
    readings = [
        Reading(DockerfileBuild(n, n, "Dockerfile", {}, tuple(platforms)), (), text) for n in names
    ]
    vertices = Vertices({n: {} for n in names}, own, readings, lambda p: p.architecture == "amd64")
    cells = [
        CellState(cell, is_emulated="amd64" not in cell)
        for its in own.values()
        for cell in its.values()
    ]
    return Watched(vertices, cells, EPOCH, masked=lambda text: text.replace("hunter22", "***"))


def take(to: Watched, *messages: dict[str, Any]) -> tuple[list[Line], list[Event]]:
    lines: list[Line] = []
    events: list[Event] = []
    for message in messages:
        status = statuses.of_line(json.dumps(message).encode())
        assert status is not None
        more, happened = to.take(status)
        lines, events = lines + more, events + happened
    return lines, events


def plan() -> dict[str, Any]:
    steps = [
        vertex(1, "[linux/amd64 1/3] FROM alpine:3.22"),
        vertex(2, "[linux/amd64 2/3] RUN make", inputs=["sha256:1"]),
        vertex(3, "[linux/amd64 3/3] RUN test", inputs=["sha256:2"]),
        vertex(4, "[linux/arm64 1/3] FROM alpine:3.22"),
        vertex(5, "[linux/arm64 2/3] RUN make", inputs=["sha256:4"]),
        vertex(6, "[linux/arm64 3/3] RUN test", inputs=["sha256:5"]),
    ]
    return {"vertexes": steps}


def log(number: int, text: str) -> dict[str, Any]:
    data = base64.b64encode(text.encode()).decode()
    return {"logs": [{"vertex": f"sha256:{number}", "data": data, "timestamp": at(0)}]}
