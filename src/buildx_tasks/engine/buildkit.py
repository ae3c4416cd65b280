"""An engine in; the version of the BuildKit that is in it, out: which ``GET /version`` does not say."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from buildx_tasks.engine import faults, grpc
from buildx_tasks.errors import EngineError
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from buildx_tasks.engine.api import Api

# Source: https://github.com/moby/buildkit/blob/master/api/services/control/control.proto
_INFO = "/moby.buildkit.v1.Control/Info"
_NONE = b"v0.0.0"  # what Debian's engine says
_VERSION, _NUMBER = 1, 2  # of an InfoResponse; of a BuildkitVersion


def version(api: Api) -> str:
    """Return the version, ``""`` where the engine does not say it."""
    with suppress(EngineError, OSError, *faults.lost_connections()):
        for message in grpc.call(api, _INFO, b"", "the version of its BuildKit"):
            said = grpc.data(dict(grpc.fields(message)).get(_VERSION))
            number = grpc.data(dict(grpc.fields(said)).get(_NUMBER))
            if number and not number.startswith(_NONE):
                return printable(number.decode("utf-8", "replace"))
    return ""
