"""One small image for the checks that run containers, and subjects of it."""

from __future__ import annotations

import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from support import workspaces

from buildx_tasks.building import location
from buildx_tasks.language.targets import Target
from buildx_tasks.planning.cells import TargetPlan
from buildx_tasks.platforms import parse
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import Subject

from .conftest import docker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DOCKERFILE = r"""
FROM --platform=linux/amd64 alpine:3.22 AS foreign
FROM alpine:3.22 AS whole
COPY --from=foreign /bin/busybox /amd64/busybox
RUN <<EOF
mkdir -p /www/cgi-bin /etc
echo 'someone:x:1234:1234::/:/bin/sh' > /etc/passwd
echo '{"state": "up", "parts": [1, 2]}' > /www/index.html
printf '#!/bin/sh\nprintf "Status: 503 Later\\r\\n\\r\\nstarting\\n"\n' > /www/cgi-bin/503
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"; sleep 9\n' > /www/cgi-bin/slow
chmod +x /www/cgi-bin/*
cp /bin/busybox /martian
# ELF's e_machine: no emulator is for this one.
printf '\376\312' | dd of=/martian bs=1 seek=18 conv=notrunc 2>/dev/null
EOF
WORKDIR /work
ENV FROM_IMAGE=yes
VOLUME /data
CMD ["echo", "the image's own"]

FROM scratch AS bare
COPY --from=whole /bin/busybox /echo
CMD ["/echo", "nothing else is here"]

FROM bare AS covered
VOLUME /echo
USER someone
"""


@contextmanager
def built(stage: str, *platforms: str) -> Iterator[str]:
    """Build a stage of the image, ``whole``, ``bare`` or ``covered``; give its tag."""
    tag = f"bt-checks-{stage}-{uuid4().hex[:8]}"
    argv = ["docker", "buildx", "build", "--builder", "default", "--quiet", "--load", "--tag", tag]
    argv += ["--target", stage, "--provenance=false", "--platform", ",".join(platforms), "-"]
    result = subprocess.run(argv, input=_DOCKERFILE, text=True, check=False, capture_output=True)
    assert result.returncode == 0, result.stderr
    try:
        yield tag
    finally:
        docker("image", "rm", "--force", tag)


@contextmanager
def subject(
    tag: str, root: Path, platform: str = "linux/amd64", **session: Any
) -> Iterator[Subject]:
    """A platform of an image with a session of its own, which must leave no thread behind."""
    parsed = parse(platform)
    target = TargetPlan("app", Target({"tags": [tag]}), (parsed,), (parsed,))
    before = set(threading.enumerate())
    with (
        closing(workspaces.bare(root)) as workspace,
        closing(containers.Session(workspace, **session)) as made,
    ):
        yield Subject(made, target, location.require(workspace.engine, target), parsed)
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
        assert not thread.is_alive(), thread
