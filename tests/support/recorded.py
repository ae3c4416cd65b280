"""Builds as they are recorded: a small one with one of each kind of step, and one of any size."""

from __future__ import annotations

from buildx_tasks.records.builds import Build, CellRecord
from buildx_tasks.records.steps import Step

ARM64, AMD64 = "hello@linux/arm64", "hello@linux/amd64"
FILE = "app/Dockerfile"


def step(name: str, started: float, ended: float | None, *cells: str, **more: object) -> Step:
    """Return a step; its digest is its name and cells, unless it is given."""
    digest = str(more.pop("digest", f"{name} {' '.join(cells)}"))
    return Step(cells, name, digest, started=started, ended=ended, **more)  # type: ignore[arg-type]


def small(**more: object) -> Build:
    """Return a build of 100 s of two cells, of which one compiles for 74 s under emulation."""
    base = "FROM docker.io/library/golang:1.24@sha256:" + "a" * 64
    compile_ = "RUN --mount=type=cache,target=/go go build -o hello ."
    place = {"dockerfile": FILE, "line": 5, "place": "builder 3/4"}
    steps = (
        step("start docker buildx bake", 0.0, 1.0, ARM64, AMD64),
        step("load metadata for docker.io/library/golang:1.24", 1.0, 3.0, ARM64, AMD64),
        step(base, 3.0, 5.0, ARM64, AMD64, place="builder 1/4", dockerfile=FILE, line=2),
        step("COPY . .", 5.0, 6.0, ARM64, AMD64, place="builder 2/4", dockerfile=FILE, line=4),
        step(compile_, 6.0, 15.0, AMD64, platform="linux/amd64", **place),
        step(compile_, 6.0, 80.0, ARM64, platform="linux/arm64", is_emulated=True, **place),
        step("WORKDIR /app", 6.0, 6.0, ARM64, place="stage-1 2/3", is_cached=True, line=8),
        step("exporting to image", 80.0, 98.0, ARM64, AMD64),
    )
    found = Build(
        "20261126-080000-000-0001",
        "2026-11-26T08:00:00+00:00",
        100.0,
        "built",
        {"engine": "28.5.2", "buildx": "v0.29.1", "plugin": "0" * 64},
        (CellRecord(ARM64, is_emulated=True), CellRecord(AMD64)),
        steps,
    )
    return found._replace(**more)  # type: ignore[arg-type]


def large(targets: int, platforms: tuple[str, ...]) -> Build:
    """Return a build of many cells, each with ten steps; all but the first platform are emulated."""
    cells, steps = [], []
    for target in range(targets):
        for at, platform in enumerate(platforms):
            cell = f"target-{target:02}@{platform}"
            cells.append(CellRecord(cell, is_emulated=at > 0))
            for number in range(10):
                started = target * 2.0 + number * 3
                is_run = number in (4, 7)
                name = f"RUN make part-{number}" if is_run else f"COPY part-{number} ."
                one = step(
                    name,
                    started,
                    started + (1 + at if is_run else 0.2),
                    cell,
                    place=f"{number + 1}/10",
                    dockerfile="Dockerfile",
                    line=number + 2,
                    is_emulated=is_run and at > 0,
                    is_cached=number == 3,
                )
                steps.append(one)
    return small(cells=tuple(cells), steps=tuple(steps), seconds=targets * 2.0 + 40)
