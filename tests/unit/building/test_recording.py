"""What buildx says of a bake that fails: shown once, and never on a display that is gone."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable

import pytest
from support.streams import TEXT, bake, plan, vertex

from buildx_tasks.building.recording import Bake, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINES = ["Dockerfile:2", "-----", "   1 |     FROM alpine:3.22", "   2 | >>> RUN make", "-----"]
FAILED = {"vertexes": [vertex(2, "[linux/amd64 2/3] RUN make", 0, 1, error="exit code: 2")]}
REFUSED = "ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: RUM"


class Audience:
    """A display that takes nothing once it has ended."""

    def __init__(self) -> None:
        self.ended = False
        self.told: list[Any] = []

    @contextmanager
    def building(self, _: Any) -> Iterator[Audience]:
        yield self
        self.ended = True

    def said(self, text: str) -> None:
        assert not self.ended
        assert text not in LINES

    def happened(self, _: Any) -> None:
        assert not self.ended

    def failed(self, failures: Sequence[Any]) -> None:
        self.told += failures


@pytest.mark.parametrize("progress", ["auto", "quiet"])
@pytest.mark.parametrize(
    ("text", "message", "said", "shown"),
    [
        (TEXT, FAILED, "ERROR: failed to solve: exit code: 2", []),
        # Of a repository elsewhere we have no Dockerfile, and so no lines of it.
        (None, FAILED, "ERROR: failed to solve: exit code: 2", LINES),
        (None, {}, REFUSED, LINES),
    ],
)
def test_the_lines_of_a_dockerfile_are_shown_where_no_failure_has_them(
    text: str | None,
    message: dict[str, Any],
    said: str,
    shown: list[str],
    progress: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = (
        [json.dumps(plan()), json.dumps(message), *LINES, said, ""]
        if message
        else [*LINES, said, ""]
    )

    def run_read(_: Any, __: Any, told: Callable[[bytes], None]) -> Any:
        told("\n".join(stream).encode())
        return SimpleNamespace(ok=False, stderr="")

    audience = Audience()
    workspace: Any = SimpleNamespace(commands=SimpleNamespace(run_read=run_read))
    means: Any = SimpleNamespace(
        audience=audience, progress=progress, is_ours=progress == "auto", is_read=True
    )
    means.standing = SimpleNamespace(builder=SimpleNamespace(driver="remote"))
    record = Recording(workspace, means)
    record._bakes.append(Bake(workspace, means, None, bake(where=["amd64"], text=text), 1))
    record._bakes[0].run(["docker", "buildx", "bake", "--progress", progress], tty=False)
    record.tell_failures()
    told = capsys.readouterr().err
    assert [line for line in told.splitlines() if line in LINES] == shown
    assert any(one.source for one in audience.told) == bool(text)
