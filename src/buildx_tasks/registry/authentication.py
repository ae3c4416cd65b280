"""A registry's challenge in; the header that answers it out: docker's log-in, or a token for it."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import re
import threading
from typing import TYPE_CHECKING, Annotated, Any, Optional
from urllib.parse import urlsplit

import msgspec

from buildx_tasks.engine.accounts import Account, account_for
from buildx_tasks.errors import RegistryError
from buildx_tasks.machine.learning import learned
from buildx_tasks.registry import wire
from buildx_tasks.registry.faults import PassingError, check
from buildx_tasks.registry.manifests import is_deep
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from requests import Response, Session

_PARAMETER = re.compile(r'(?<!\w)(\w{1,64})="([^"]*)"')
_MOST_CHALLENGE = 8192  # characters
Text = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{0,65536}\Z")]


class _Token(msgspec.Struct):
    token: Optional[Text] = None
    access_token: Optional[Text] = None


class Access:
    """What to show a registry with each request; safe to use from several threads."""

    def __init__(self, session: "Session", registry: str) -> None:
        self._session = session
        self._registry = registry
        self._account: Account | None = None
        self._lock = threading.Lock()
        self._headers: dict[str, str] = {}  # by scope
        self._proven: set[str] = set()  # headers that were taken once

    def header(self, scope: str) -> str:
        """Return the Authorization header for requests of a scope; ``""`` before one is asked for."""
        return self._headers.get(scope) or self._headers.get("", "")

    def taken(self, header: str) -> None:
        """Note that a header was good."""
        if header:
            self._proven.add(header)

    def challenged(
        self, answer: "Response", scope: str, used: str, timeout: tuple[float, float]
    ) -> bool:
        """Take in a 401; return whether to ask again.

        A token that was good once has run out; one that never was is refused for good.

        Raises:
            RegistryError: the token's server refuses.
            PassingError: it does not answer now.

        """
        with self._lock:
            if self.header(scope) != used:
                return True  # another thread has got a new one meanwhile
            challenge = answer.headers.get("WWW-Authenticate", "")
            kind = challenge.partition(" ")[0].lower()
            if self._account is None:
                self._account = account_for(self._registry)
            if kind == "basic":
                if not self._account.basic or used == self._account.basic:
                    return False
                self._headers.pop(scope, None)
                self._headers[""] = self._account.basic
                return True
            if kind != "bearer" or (used and used not in self._proven):
                return False
            fields = dict(_PARAMETER.findall(challenge[:_MOST_CHALLENGE]))
            _require_service(answer.url, fields.get("realm", ""), self._registry)
            self._headers[scope] = f"Bearer {self._token(fields, scope, self._account, timeout)}"
            return True

    def _token(
        self, fields: dict[str, str], scope: str, account: Account, timeout: tuple[float, float]
    ) -> str:
        """Ask the token's server. Source: https://distribution.github.io/distribution/spec/auth/token/."""
        from requests.exceptions import RequestException

        realm = fields.get("realm", "")
        what = f"{self._registry}: log-in at {printable(realm.partition('?')[0])}"
        scopes = list(dict.fromkeys(f"{scope} {fields.get('scope', '')}".split()))
        asked: dict[str, Any] = {"service": fields.get("service", ""), "scope": scopes}
        try:
            if account.token:
                asked.update(
                    grant_type="refresh_token",
                    refresh_token=account.token,
                    client_id="buildx-tasks",
                    scope=" ".join(scopes),
                )
                sent: dict[str, Any] = {"data": asked}
            else:
                headers = {"Authorization": account.basic} if account.basic else {}
                sent = {"params": asked, "headers": headers}
            # What it leads on to did not ask for the log-in.
            answer = self._session.request(
                "POST" if account.token else "GET",
                realm,
                timeout=timeout,
                stream=True,
                allow_redirects=False,
                **sent,
            )
            said = wire.body(answer, wire.MOST_BODY, cut=answer.status_code >= 300)
        except (RequestException, OSError, ValueError) as error:
            raise PassingError(f"{what}: {type(error).__name__}") from None
        except wire.UnboundedError as error:
            raise RegistryError(f"{what}: {error}; see that it is to be trusted") from None
        answer._content, answer._content_consumed = said, True  # noqa: SLF001
        check(answer, what, self._registry)
        try:
            data = _Token() if is_deep(said) else msgspec.json.decode(said, type=learned(_Token))
        except (msgspec.MsgspecError, ValueError):
            data = _Token()
        if not (token := data.token or data.access_token):
            raise PassingError(f"{what}: the answer has no token")
        return token


def _require_service(registry_url: str, realm: str, registry: str) -> None:
    """Refuse a log-in's service that a registry may not name.

    Raises:
        RegistryError: it is not to be asked: not by https for a registry by https, or no address.

    """
    reason = ""
    try:
        place = wire.onward(registry_url, realm)
    except wire.UnboundedError as error:
        reason = str(error)
    else:
        if not realm.lower().startswith(("http://", "https://")):
            reason = "it names no service"
        elif place.username is not None:
            reason = "it names a service with a log-in in its address"
        elif place.scheme != "https" == urlsplit(registry_url).scheme:
            reason = f"it names {place.hostname} by http, where all could read it"
    if reason:
        raise RegistryError(
            f"{registry}: the log-in is not sent where it asks to ({reason}); see that it is a "
            "registry to be trusted"
        )
