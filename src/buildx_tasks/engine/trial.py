"""A platform in; whether a container of the engine runs its programs, out: the smallest one is tried."""

from __future__ import annotations

import contextlib
import io
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults, leftovers
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import executables, probe
from buildx_tasks.machine.made import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.platforms import Platform

_NAME = "buildx-tasks-probe"  # of images and containers that platforms are tried with
_SECONDS = 20  # what an emulator on a busy machine may take for a hundred bytes


def runs_in_container(engine: Engine, platform: Platform) -> str:
    """Run the smallest program for a platform in a container; return why it failed, or ``""``.

    A container sees an emulator only where it was registered with the flag F (fix binary), so that
    a program that runs on the machine proves less.
    Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
    """
    return _tried(engine, platform, {})[0]


def said_of_version(engine: Engine, platform: Platform) -> str:
    """Return what the emulator of the engine's machine says of its version; ``""`` for nothing.

    It is asked in a container, so that it may be any machine's.
    """
    return _tried(engine, platform, probe.ASKING)[1]


def _tried(engine: Engine, platform: Platform, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return why the smallest program for a platform failed in a container, and what it printed."""
    program = executables.binary(platform)
    if program is None:
        return "there is no program to try it with", ""
    client: Any = engine.client
    leftovers.sweep(engine)
    record = Record.begun(Path.cwd())
    is_clean = False
    printed = ""
    try:
        record.at(engine.origin)
        reference = record.making("image", f"{_NAME}:{uuid.uuid4().hex[:12]}")
        _import(client, reference, platform, program)
        name = record.making("container", f"{_NAME}-{uuid.uuid4().hex}")
        container = client.containers.create(
            reference,
            "/probe",
            name=name,
            platform=str(platform),
            network_mode="none",
            environment=dict(environment),
            labels={leftovers.SESSION: record.id},
        )
        record.made(name, container.id)
        container.start()
        code = container.wait(timeout=_SECONDS)["StatusCode"]
        if environment:
            printed = container.logs(stdout=True, stderr=False).decode(errors="replace")
    except EngineError as error:
        return str(error), ""
    except faults.api_errors() as error:
        return faults.words_of(error), ""
    except faults.timeouts():
        return f"the program did not end within {_SECONDS} s", ""
    finally:
        with contextlib.suppress(*faults.all_errors()):
            is_clean = leftovers.remove(engine, record)
        record.close(forget=is_clean)
    return (f"the program ended with exit code {code}" if code else ""), printed


def _import(client: Any, reference: str, platform: Platform, program: bytes) -> None:
    """Make an image of one file; docker's own ``import_image`` has no platform."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("probe")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    name, _, tag = reference.partition(":")
    query = {"fromSrc": "-", "repo": name, "tag": tag, "platform": str(platform)}
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/images/create"
    response = api.post(url, params=query, data=packed.getvalue())
    if response.status_code != 200 or "errorDetail" in response.text:
        raise EngineError(f"the engine takes no program for it: {response.text.strip()[:200]}")
