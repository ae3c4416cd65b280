"""Why engine, buildx, builder or image store cannot do a job; asked after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.platforms import Platform

STORE_HINT = (
    'add {"features": {"containerd-snapshotter": true}} to /etc/docker/daemon.json and restart '
    "the engine (Docker Desktop: Settings, General, containerd image store)"
)
BUILDX_HINT = (
    "install the docker-buildx package (Debian, Ubuntu), docker-buildx-plugin (Docker's packages), "
    "or the plug-in from https://github.com/docker/buildx/releases"
)


def explain_failure(
    engine: Engine, platforms: Sequence[Platform] | None, builder: str | None
) -> None:
    """Raise a named error if engine, buildx, builder or store explain why a build failed.

    Asked only after a failure: a build that works pays nothing for it. ``platforms`` are the ones of
    the widest image, None where the build needs no engine.

    Raises:
        EngineError: with what is missing and how to go on.

    """
    query = engine.commands.query
    if not query(["docker", "--version"]).ok:
        raise EngineError("the docker command is not on PATH; install docker-cli, or see README.md")
    # One that was reached before the failure proves nothing now.
    client = None if platforms is None else engine.client
    if client is not None:
        _require_answer(engine)
    if not query(["docker", "buildx", "version"]).ok:
        raise EngineError(f"docker has no buildx; {BUILDX_HINT}")
    if builder and not query(["docker", "buildx", "inspect", builder]).ok:
        raise EngineError(f'builder "{builder}" is not there or does not answer; run invoke setup')
    if client and platforms and len(platforms) > 1:
        require_containerd_store(
            engine, "hold several platforms of one image", ", or select one platform with -p"
        )


def _require_answer(engine: Engine) -> None:
    from buildx_tasks.engine.connection import no_answer
    from buildx_tasks.engine.faults import all_errors

    try:
        engine.client.ping()
    except all_errors() as error:
        raise EngineError(no_answer(error)) from None


def require_containerd_store(engine: Engine, purpose: str, way_out: str = "") -> None:
    """Raise unless the engine has the containerd image store.

    Raises:
        EngineError: it has the classic one.

    """
    if not engine.has_containerd_store:
        raise EngineError(
            f"the engine's image store is the classic one ({engine.info.get('Driver')}), "
            f"which cannot {purpose}; {STORE_HINT}{way_out}"
        )
