from __future__ import annotations

import pytest

from buildx_tasks.references import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app", "docker.io/library/app:latest"),
        ("team/app:v1", "docker.io/team/app:v1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/team/app:v1", "localhost:5000/team/app:v1"),
        ("ghcr.io/team/app__x:1.2-rc", "ghcr.io/team/app__x:1.2-rc"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
    ],
)
def test_fills_in_what_docker_fills_in(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "App", "app:", "ghcr.io/Team/app", "app@sha256:abc", "a:b:c", "localhost:5000/", "a b"],
)
def test_refuses_what_docker_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is no image reference"):
        parse(text)
