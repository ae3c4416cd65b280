"""Look at everything that the declared targets need; say what is not ok, and the fix."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import builder, emulators, engine, platforms, references
from buildx_tasks.commands import query
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker
    from invoke import Context

    from buildx_tasks.builder import BuilderState
    from buildx_tasks.config import Builder
    from buildx_tasks.expansion import Config

# The first with `buildx ls --format json`.
# Source: https://github.com/docker/buildx/releases/tag/v0.14.0
MINIMUM_BUILDX = (0, 14)


class Finding(NamedTuple):
    """One thing looked at; ``fix`` is empty when it is ok."""

    subject: str
    ok: bool
    found: str
    fix: str = ""


def examine(c: Context, config: Config) -> Iterator[Finding]:
    """Yield findings one by one; what cannot be looked at for want of an engine is left out."""
    yield _buildx(c)
    try:
        client = engine.connect()
    except EngineError as error:
        found, _, fix = str(error).partition("; ")
        yield Finding("engine", ok=False, found=found, fix=fix)
    else:
        version = client.version()
        yield Finding("engine", ok=True, found=f"{version['Version']}, API {version['ApiVersion']}")
        yield _image_store(client)
        try:
            states = builder.states(c)
        except EngineError:
            states = {}
        if config.builder:
            state = states.get(config.builder.name)
            yield _builder(c, config.builder, state)
        else:
            state = next((one for one in states.values() if one.current), None)
            if state:
                yield Finding("builder", ok=True, found=f"{state.name}, buildx's current one")
        yield from _emulators(client, config, state)
    yield from _registries(config)


def _buildx(c: Context) -> Finding:
    result = query(c, ["docker", "buildx", "version"])
    match = re.search(r"v?(\d+)\.(\d+)\.\d+\S*", result.stdout)
    if not result.ok or not match:
        return Finding("buildx", ok=False, found="not there", fix=engine.BUILDX_HINT)
    if (int(match[1]), int(match[2])) < MINIMUM_BUILDX:
        needed = ".".join(map(str, MINIMUM_BUILDX))
        return Finding("buildx", ok=False, found=match[0], fix=f"upgrade it to {needed} or newer")
    return Finding("buildx", ok=True, found=match[0])


def _image_store(client: docker.DockerClient) -> Finding:
    info = client.info()
    if engine.has_containerd_store(info):
        return Finding("image store", ok=True, found="containerd")
    found = f"classic ({info.get('Driver')}): one platform a tag"
    return Finding("image store", ok=False, found=found, fix=engine.STORE_HINT)


def _builder(c: Context, declared: Builder, state: BuilderState | None) -> Finding:
    subject = f"builder {declared.name}"
    if state is None:
        return Finding(subject, ok=False, found="not there", fix="run invoke setup")
    if state.driver != declared.driver:
        return Finding(
            subject,
            ok=False,
            found=f"driver {state.driver}, declared is {declared.driver}",
            fix=f"docker buildx rm {declared.name}, then invoke setup; or rename [builder]",
        )
    if not state.running:
        return Finding(subject, ok=False, found="not running", fix="run invoke setup")
    try:
        builder.require_same_engine(c, declared)
    except EngineError as error:
        found, _, fix = str(error).partition("; ")
        return Finding(subject, ok=False, found=found, fix=fix)
    return Finding(subject, ok=True, found=f"{state.driver}, running")


def _emulators(
    client: docker.DockerClient, config: Config, state: BuilderState | None
) -> Iterator[Finding]:
    needed = emulators.needed_platforms(config)
    missing = emulators.missing_emulators(client, needed, state)
    native = emulators.engine_platform(client)
    for platform in sorted(needed):
        if platform in missing:
            found, fix = "no emulator", "run invoke setup"
            yield Finding(f"platform {platform}", ok=False, found=found, fix=fix)
        else:
            how = "native" if platforms.runs_natively(platform, native) else "emulated"
            yield Finding(f"platform {platform}", ok=True, found=how)


def _registries(config: Config) -> Iterator[Finding]:
    tags = [tag for target in config.target.values() for tag in target.tags]
    for registry in sorted({references.parse(tag).registry for tag in tags}):
        subject = f"registry {registry}"
        answer = _probe(registry)
        if answer is None:
            yield Finding(subject, ok=True, found="answers")
        else:
            fix = "start it, or check its name in tags, the network and the proxy settings"
            yield Finding(subject, ok=False, found=answer, fix=fix)


def _probe(registry: str) -> str | None:
    """Return None if a registry answers there, else what happened instead."""
    host = "registry-1.docker.io" if registry == references.DOCKER_HUB else registry
    loopback = host.split(":")[0] in ("localhost", "127.0.0.1")
    reason = ""
    # The engine speaks plain http to loopback only.
    for scheme in ("https", "http") if loopback else ("https",):
        try:
            with urllib.request.urlopen(f"{scheme}://{host}/v2/", timeout=5):  # noqa: S310
                return None
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):  # it wants a log-in: it is there
                return None
            reason = f"no registry: HTTP {error.code}"
        except (OSError, ValueError) as error:
            reason = f"does not answer: {getattr(error, 'reason', error)}"
    return reason
