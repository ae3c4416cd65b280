"""One registry's endpoint and a request in; its answer, or what is wrong with it, out."""

from __future__ import annotations

import re
import threading
from http.client import HTTPException
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import unquote, urlsplit

from buildx_tasks.errors import RegistryError, deepest
from buildx_tasks.registry import endpoints, faults, wire
from buildx_tasks.registry.authentication import Access
from buildx_tasks.registry.faults import PassingError, unreachable
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from requests import Response

    from buildx_tasks.registry.endpoints import Endpoint

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # of silence
_LEADING = frozenset({301, 302, 303, 307, 308})
_MOST_LEADS = 5
_MOST_LOG_INS = 4  # for one request: a registry may change its mind, not for ever
_PROXY_LOG_IN = re.compile(r"(?<=//)\S*@")  # of a proxy, in an address that urllib3 cannot read


class Request(NamedTuple):
    """One request: ``what`` begins its errors, ``scope`` is what the log-in has to allow.

    ``path`` may be a whole address; ``body`` gives what is sent, anew for each attempt. An answer
    of more than ``most`` bytes is refused, unless it is streamed.
    """

    method: str
    path: str
    what: str
    scope: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: Callable[[], Any] | None = None
    is_streamed: bool = False
    most: int = wire.MOST_BODY


class Registry:
    """A registry behind its endpoint; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session = wire.session(endpoint)
        self._access = Access(self._session, endpoint.registry)
        self._scheme = endpoint.schemes[0] if len(endpoint.schemes) == 1 else ""
        self._lock = threading.Lock()
        self.lists_referrers: bool | None = None  # not known before it was asked

    def close(self) -> None:
        """End its connections."""
        self._session.close()

    def base(self) -> str:
        """Return the address that the API is below: the first scheme that is answered.

        Raises:
            PassingError: none is.
            RegistryError: its certificate is not accepted.

        """
        from requests.exceptions import RequestException

        with self._lock:
            reasons = []
            for scheme in self.endpoint.schemes if not self._scheme else ():
                url = f"{scheme}://{self.endpoint.host}"
                try:
                    answer = self._session.get(
                        f"{url}/v2/", timeout=_timeout(), stream=True, allow_redirects=False
                    )
                    answer.close()
                except wire.UnboundedError as error:
                    reasons.append(str(error))
                except RequestException as error:
                    endpoints.refuse_certificate(error, self.endpoint.registry)
                    reasons.append(reason_of(error))
                else:
                    if scheme == "http" and answer.status_code == 400 and reasons:
                        continue  # it speaks https only, and was not well just now
                    self._scheme = scheme
                    break
            if not self._scheme:
                raise unreachable(reasons[-1], self.endpoint.registry)
        return f"{self._scheme}://{self.endpoint.host}"

    def ask(self, request: Request) -> Response:
        """Ask once, with credentials where they are wanted.

        Raises:
            PassingError: it may pass.
            RegistryError: it will not.

        """
        try:
            return self._asked(request)
        except wire.UnboundedError as error:
            raise RegistryError(
                f"{request.what}: {error}; see that it is a registry, and one to be trusted"
            ) from None

    def _asked(self, request: Request) -> Response:
        url, is_ours = self._address(request)
        log_ins = 0
        while True:
            shown = self._access.header(request.scope) if is_ours else ""
            answer, is_own = self._followed(request, url, shown)
            if answer.status_code >= 300 or not request.is_streamed:
                self._read(answer, request)
            if answer.status_code != 401:
                self._access.taken(shown)
            elif (
                is_ours
                and is_own
                and log_ins < _MOST_LOG_INS
                and self._access.challenged(answer, request.scope, shown, _timeout())
            ):
                log_ins += 1
                continue
            faults.check(answer, request.what, self.endpoint.registry)
            return answer

    def _address(self, request: Request) -> tuple[str, bool]:
        """Return the whole address, and whether our log-in is for it.

        What an upload is told to go on at may be on another host, and is no place for anything else.
        """
        base = self.base()
        own = urlsplit(base)
        place = wire.onward(base, request.path)
        is_ours = place.netloc == own.netloc or _host(place) == _host(own)
        if is_ours:
            # Behind a proxy that ends TLS, registries may call themselves http.
            place = place._replace(scheme=own.scheme, netloc=own.netloc)
        elif request.method == "DELETE" or "/manifests/" in unquote(place.path):
            raise wire.UnboundedError(f"it leads to another registry, {place.hostname}")
        elif place.scheme != own.scheme == "https":
            raise wire.UnboundedError(f"it leads from https to http, at {place.hostname}")
        return place.geturl(), is_ours

    def _followed(self, request: Request, url: str, log_in: str) -> tuple[Response, bool]:
        """Ask, where it leads on too; return the answer, and whether it is the registry's own."""
        is_own = True
        for _ in range(_MOST_LEADS + 1):
            answer = self._sent(request, url, log_in)
            location = answer.headers.get("Location", "")
            # A body would be sent empty to where it leads on.
            if answer.status_code not in _LEADING or not location or request.body:
                return answer, is_own
            if request.method not in ("GET", "HEAD"):
                return answer, is_own
            answer.close()
            place = wire.onward(url, location)
            if place.scheme != "https" == urlsplit(url).scheme:
                raise wire.UnboundedError(f"it leads from https to http, at {place.hostname}")
            if _origin(place) != _origin(urlsplit(url)):
                log_in, is_own = "", False
            url = place.geturl()
        raise wire.UnboundedError(f"it leads on more than {_MOST_LEADS} times, as in a circle")

    def _sent(self, request: Request, url: str, log_in: str) -> Response:
        from requests.exceptions import RequestException

        try:
            return self._session.request(
                request.method,
                url,
                headers={**request.headers, **({"Authorization": log_in} if log_in else {})},
                data=request.body() if request.body else None,
                timeout=_timeout(),
                stream=True,
                allow_redirects=False,
            )
        except (RequestException, ValueError) as error:
            raise self._fault(error) from None

    def _read(self, answer: Response, request: Request) -> None:
        """Read an answer's body within bounds, and leave it where ``content`` is."""
        is_fault = answer.status_code >= 300
        most = wire.MOST_FAULT if is_fault else request.most
        if request.method == "HEAD":
            answer.raw.drain_conn()  # nothing follows: the next question takes the connection
        try:
            found = b"" if request.method == "HEAD" else wire.body(answer, most, cut=is_fault)
        except OSError as error:
            if not is_fault:
                raise self._fault(error) from None
            found = b""
        except wire.UnboundedError:
            if not is_fault:
                raise
            found = b""
        if request.method == "HEAD":  # nothing is read, which would let go of the connection
            answer.close()
        answer._content, answer._content_consumed = found, True  # noqa: SLF001

    def _fault(self, error: Exception) -> PassingError:
        """Return a fault of the connection; raise at once for one of certificates."""
        endpoints.refuse_certificate(error, self.endpoint.registry)
        return unreachable(reason_of(error), self.endpoint.registry)


def _host(place: SplitResult) -> tuple[str | None, int | None]:
    return place.hostname, place.port or {"http": 80, "https": 443}.get(place.scheme)


def _origin(place: SplitResult) -> tuple[str, str | None, int | None]:
    return place.scheme, *_host(place)


def _timeout() -> tuple[float, float]:
    return CONNECT_SECONDS, READ_SECONDS


def reason_of(error: BaseException) -> str:
    """Return the deepest cause in plain words: requests wraps urllib3 wraps the OSError."""
    cause = deepest(error)
    if isinstance(cause, HTTPException) and hasattr(cause, "partial"):
        return "the answer was cut off"
    words = getattr(cause, "strerror", None) or getattr(cause, "verify_message", None)
    text = _PROXY_LOG_IN.sub("", str(words or cause)).partition("(Caused by")[0]
    return printable(text) or type(cause).__name__
