"""One registry's endpoint and a request in; its answer, or what is wrong with it, out."""

from __future__ import annotations

import re
import ssl
import threading
from http.client import HTTPException
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import urljoin, urlsplit

from buildx_tasks.errors import deepest
from buildx_tasks.registry import endpoints, faults
from buildx_tasks.registry.authentication import Access
from buildx_tasks.registry.faults import PassingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from requests import Response, Session

    from buildx_tasks.registry.endpoints import Endpoint

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # of silence
_MOST_LOG_INS = 4  # for one request: a registry may change its mind, not for ever
_PROXY_LOG_IN = re.compile(r"(?<=//)\S*@")  # of a proxy, in an address that urllib3 cannot read


class Request(NamedTuple):
    """One request: ``what`` begins its errors, ``scope`` is what the log-in has to allow.

    ``path`` may be a whole address; ``body`` gives what is sent, anew for each attempt.
    """

    method: str
    path: str
    what: str
    scope: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: Callable[[], Any] | None = None
    is_streamed: bool = False


class Registry:
    """A registry behind its endpoint; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session = _session(endpoint)
        self._access = Access(self._session, endpoint.registry)
        self._scheme = endpoint.schemes[0] if len(endpoint.schemes) == 1 else ""
        self._lock = threading.Lock()

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
                    timeout = (CONNECT_SECONDS, READ_SECONDS)
                    answer = self._session.get(f"{url}/v2/", timeout=timeout)
                    answer.close()
                except RequestException as error:
                    endpoints.refuse_certificate(error, self.endpoint.registry)
                    reasons.append(reason_of(error))
                else:
                    if scheme == "http" and answer.status_code == 400 and reasons:
                        continue  # it speaks https only, and was not well just now
                    self._scheme = scheme
                    break
            if not self._scheme:
                raise PassingError(reasons[-1])
        return f"{self._scheme}://{self.endpoint.host}"

    def ask(self, request: Request) -> Response:
        """Ask once, with credentials where they are wanted.

        Raises:
            PassingError: it may pass.
            RegistryError: it will not.

        """
        url, is_ours = self._address(request.path)
        log_ins = 0
        while True:
            shown = self._access.header(request.scope) if is_ours else ""
            answer = self._sent(request, url, shown)
            if answer.status_code != 401:
                self._access.taken(shown)
            elif (
                is_ours and log_ins < _MOST_LOG_INS and self._is_new_log_in(answer, request, shown)
            ):
                log_ins += 1
                continue
            faults.check(answer, request.what, self.endpoint.registry)
            return answer

    def _address(self, path: str) -> tuple[str, bool]:
        """Return the whole address, and whether our log-in is for it.

        What an upload is told to go on at may be on another host.
        """
        base = self.base()
        place, own = urlsplit(urljoin(base, path)), urlsplit(base)
        is_ours = place.netloc == own.netloc or _host(place) == _host(own)
        if is_ours:
            # Behind a proxy that ends TLS, registries may call themselves http.
            place = place._replace(scheme=own.scheme, netloc=own.netloc)
        return place.geturl(), is_ours

    def _sent(self, request: Request, url: str, log_in: str) -> Response:
        from requests.exceptions import RequestException

        try:
            return self._session.request(
                request.method,
                url,
                headers={**request.headers, **({"Authorization": log_in} if log_in else {})},
                data=request.body() if request.body else None,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=request.is_streamed,
                # A body would be sent empty to where it leads on.
                allow_redirects=request.method in ("GET", "HEAD"),
            )
        except (RequestException, ValueError) as error:
            raise self._fault(error) from None

    def _is_new_log_in(self, answer: Response, request: Request, shown: str) -> bool:
        """Take in a 401, and say whether there is another log-in to try now."""
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        if not _is_own(answer) or not self._access.challenged(
            answer, request.scope, shown, timeout
        ):
            return False
        answer.close()
        return True

    def _fault(self, error: Exception) -> PassingError:
        """Return a fault of the connection; raise at once for one of certificates."""
        endpoints.refuse_certificate(error, self.endpoint.registry)
        return PassingError(reason_of(error))


def _host(place: SplitResult) -> tuple[str | None, int | None]:
    return place.hostname, place.port or {"http": 80, "https": 443}.get(place.scheme)


def _is_own(answer: Response) -> bool:
    """Say whether an answer is the registry's: whom it leads on to may not ask for its log-in."""
    first = (*answer.history, answer)[0]
    return urlsplit(answer.url).netloc == urlsplit(first.url).netloc


def _session(endpoint: Endpoint) -> Session:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    checked = endpoint.context.verify_mode != ssl.CERT_NONE
    if not checked:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it is as declared

    class OwnTls(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=endpoint.context, **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, ssl_context=endpoint.context, **options)

        def send(self, *args: Any, **options: Any) -> Response:
            """Have urllib3 leave the context's mode as it is."""
            return super().send(*args, **{**options, "verify": checked})

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            """Leave it to the context, which knows the authorities."""

    session = requests.Session()
    adapter = OwnTls(pool_maxsize=16)
    session.mount("https://", adapter)
    session.mount("http://", HTTPAdapter(pool_maxsize=16))
    session.trust_env = not endpoint.own_network
    session.auth = _as_it_is
    session.headers["User-Agent"] = "buildx-tasks"
    return session


def _as_it_is(request: Any) -> Any:
    """Keep requests from looking into ``.netrc``: only docker's log-ins count."""
    return request


def reason_of(error: BaseException) -> str:
    """Return the deepest cause in plain words: requests wraps urllib3 wraps the OSError."""
    cause = deepest(error)
    if isinstance(cause, HTTPException) and hasattr(cause, "partial"):
        return "the answer was cut off"
    words = getattr(cause, "strerror", None) or getattr(cause, "verify_message", None)
    text = _PROXY_LOG_IN.sub("", str(words or cause)).partition("(Caused by")[0]
    return text or type(cause).__name__
