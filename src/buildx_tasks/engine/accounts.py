"""A registry in; the log-in that docker has for it, from its file or a credential helper, out."""

from __future__ import annotations

import base64
import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import references
from buildx_tasks.errors import RegistryError
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from buildx_tasks.engine.engine import Engine

_FAILED_HELPER = re.compile(r"Credentials store (\S+) exited with ")
_HUB_ADDRESS = "https://index.docker.io/v1/"


class UnreadableError(RegistryError):
    """docker's file or a credential helper cannot be used; ``reason`` says why."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Account(NamedTuple):
    """A log-in: name and password, or a token that stands for both. All empty: anonymous."""

    name: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return "Account(…)"  # never in a traceback or log

    @property
    def basic(self) -> str:
        """The header that says name and password; ``""`` where there are none."""
        if not self.name:
            return ""
        return f"Basic {base64.b64encode(f'{self.name}:{self.password}'.encode()).decode()}"

    def for_engine(self, registry: str) -> dict[str, str]:
        """Return the log-in for a registry as the Engine API takes it.

        Source: https://docs.docker.com/reference/api/engine/version/v1.48/#section/Authentication
        """
        return {
            "username": self.name,
            "password": self.password,
            "identitytoken": self.token,
            "serveraddress": _address(registry),
        }


def account_for(registry: str) -> Account:
    """Return docker's own log-in for a registry: from its file, or its credential helper.

    Raises:
        UnreadableError: the file or the helper cannot be used.

    """
    from docker.auth import load_config
    from docker.errors import DockerException

    reason = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a helper that is missing, which is an error below
            config = load_config(config_dict=None)
            found: dict[str, Any] = config.resolve_authconfig(_address(registry)) or {}
    except DockerException as error:
        reason = printable(str(error.__cause__ or error)).strip().rstrip(".")
        if failed := _FAILED_HELPER.match(reason):
            # What it said may be what it keeps.
            reason = f"{failed[1]} failed; run it to see why: echo {_address(registry)} | {failed[1]} get"
    except (AttributeError, KeyError, TypeError, ValueError):
        # What the library does not catch. Its words may hold a part of what it read.
        reason = "its config.json, or what the credential helper said, is malformed"
    if reason:
        login = "docker login" if registry == references.DOCKER_HUB else f"docker login {registry}"
        raise UnreadableError(
            f"docker's log-in for {registry} cannot be read: {reason}; correct it, or run {login}",
            reason,
        )
    values = {key.lower(): value or "" for key, value in found.items()}
    return Account(
        values.get("username", ""), values.get("password", ""), values.get("identitytoken", "")
    )


def is_taken(engine: Engine, registry: str, account: Account) -> bool:
    """Say whether a registry takes a log-in; the engine tries it."""
    api = engine.client.api
    answer = api.post(f"{api.base_url}/v{api.api_version}/auth", json=account.for_engine(registry))
    return int(answer.status_code) == 200


def _address(registry: str) -> str:
    """Return under which address docker keeps the log-in."""
    return _HUB_ADDRESS if registry == references.DOCKER_HUB else registry
