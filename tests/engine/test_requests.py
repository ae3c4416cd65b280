"""What our commands ask of the engine and of the registry: no more than they ever did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from support.counting import counting

from .conftest import engine_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Project
    from support.counting import Request


class Cost(NamedTuple):
    """How many requests: to the engine ours and all, with docker's and buildx's, and to the registry."""

    ours: int
    engine: int
    registry: int


# The numbers measured before the restructuring, of two images for two platforms each; since then the
# engine is not asked for each container that it lists, nor twice for its version or the same blob.
BOUNDS = {
    "plan": Cost(2, 2, 0),
    # The version, the engine's platform (as DOCKER_HOST names it), and the one base: all targets and
    # platforms are built from what it is then.
    "build": Cost(5, 17, 4),  # two of ours in place of the many of docker buildx history
    "build, unchanged": Cost(6, 6, 0),
    "verify": Cost(31, 31, 0),
    "push": Cost(34, 34, 94 + 1),  # whether it lists what is attached
    "verify, known": Cost(4, 4, 0),  # one of them a ping
    # TLS is tried, then plain http; one HEAD a tag, and one for each of the four manifests below it.
    "push, there already": Cost(6, 6, 2 + 2 * (1 + 4)),
}
TARGETS = ("one", "two")
TOML = '''
[target.{target}]
dockerfile-inline = """
FROM alpine:3.22
ENV WORD={target}
CMD echo "Hello, $WORD!"
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}-{target}:v1"]
verify.run.stdout = "Hello, {target}!"
verify.index = {{}}
'''


def listed(requests: Iterable[Request]) -> str:
    counts = Counter(
        f"{one.method} {one.path}{' (ours)' if one.ours else ''}".strip() for one in requests
    )
    return "\n".join(f"  {count} {what}" for what, count in counts.items())


def test_no_command_asks_more_than_before(project: Project, registry: str, name: str) -> None:
    host, _, port = registry.partition(":")
    over = []
    with counting(engine_socket()) as engine, counting((host, int(port))) as served:
        texts = (TOML.format(target=one, registry=served.address, name=name) for one in TARGETS)
        project.write("".join(texts))
        for step, bound in BOUNDS.items():
            project.ok(step.partition(",")[0], env={"DOCKER_HOST": engine.address})
            asked, fetched = engine.taken(), served.taken()
            cost = Cost(sum(one.ours for one in asked), len(asked), len(fetched))
            if any(number > most for number, most in zip(cost, bound)):
                over.append(f"{step}: {cost}, {bound} before:\n{listed([*asked, *fetched])}")
            if step == "verify":  # nothing goes past the proxy
                created = [one for one in asked if one.path == "/containers/create"]
                assert len(created) == 4
    assert not over, "\n".join(over)
