"""A registry's challenge in; the header that answers it out: docker's log-in, or a token for it."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine.accounts import Account, account_for
from buildx_tasks.registry.faults import PassingError, check

if TYPE_CHECKING:
    from requests import Response, Session

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Access:
    """What to show a registry with each request; safe to use from several threads."""

    def __init__(self, session: Session, registry: str) -> None:
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
        self, answer: Response, scope: str, used: str, timeout: tuple[float, float]
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
            fields = dict(_PARAMETER.findall(challenge))
            self._headers[scope] = f"Bearer {self._token(fields, scope, self._account, timeout)}"
            return True

    def _token(
        self, fields: dict[str, str], scope: str, account: Account, timeout: tuple[float, float]
    ) -> str:
        """Ask the token's server. Source: https://distribution.github.io/distribution/spec/auth/token/."""
        from requests.exceptions import RequestException

        realm = fields.get("realm", "")
        what = f"{self._registry}: log-in at {realm.partition('?')[0]}"
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
                answer = self._session.post(realm, data=asked, timeout=timeout)
            else:
                headers = {"Authorization": account.basic} if account.basic else {}
                answer = self._session.get(realm, params=asked, headers=headers, timeout=timeout)
        except (RequestException, ValueError) as error:
            raise PassingError(f"{what}: {type(error).__name__}") from None
        check(answer, what, self._registry)
        try:
            data = answer.json()
            token = data.get("token") or data["access_token"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PassingError(f"{what}: the answer has no token") from None
        return str(token)
