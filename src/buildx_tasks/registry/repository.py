"""One registry, and repositories in it: every request is tried again where the fault may pass."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import urljoin, urlsplit

from buildx_tasks.registry import endpoints, faults
from buildx_tasks.registry.authentication import Access
from buildx_tasks.registry.faults import MissingError, PassingError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from urllib.parse import SplitResult

    from requests import Response, Session

    from buildx_tasks.registry.endpoints import Endpoint

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # of silence
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPTED = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_CHUNK = 1 << 20
_LOG_INS = 4  # for one request: a registry may change its mind, not for ever
_LOG_IN = re.compile(r"(?<=//)\S*@")  # of a proxy, in an address that urllib3 cannot read


class Manifest(NamedTuple):
    """A manifest or index as its exact bytes; ``digest`` is computed from them."""

    digest: str
    media_type: str
    data: bytes

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.media_type in INDEX_TYPES


def manifest_of(data: bytes, media_type: str = "") -> Manifest:
    """Return bytes as a manifest; its own ``mediaType`` counts before the one that is given.

    Raises:
        ValueError: they are none.

    """
    content = json.loads(data)
    if not isinstance(content, dict) or not ("manifests" in content or "layers" in content):
        raise ValueError("no manifest of an image")
    by_form = INDEX_TYPES[0] if "manifests" in content else MANIFEST_TYPES[0]
    kind = content.get("mediaType") or media_type or by_form
    return Manifest(digest_of(data), kind, data)


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """A registry behind its endpoint; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session = _session(endpoint)
        self._access = Access(self._session, endpoint.registry)
        self._scheme = endpoint.schemes[0] if len(endpoint.schemes) == 1 else ""
        self._lock = threading.Lock()

    def repository(self, name: str) -> Repository:
        """Return a repository of it, whether it exists or not."""
        return Repository(self, name)

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
                    reasons.append(_reason(error))
                else:
                    if scheme == "http" and answer.status_code == 400 and reasons:
                        continue  # it speaks https only, and was not well just now
                    self._scheme = scheme
                    break
            if not self._scheme:
                raise PassingError(reasons[-1])
        return f"{self._scheme}://{self.endpoint.host}"

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        scope: str,
        headers: dict[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        stream: bool = False,
    ) -> Response:
        """Ask once, with credentials where they are wanted; ``path`` may be a whole address.

        Raises:
            PassingError: it may pass.
            RegistryError: it will not.

        """
        from requests.exceptions import RequestException

        base = self.base()
        place = urlsplit(urljoin(base, path))
        # What an upload is told to go on at may be another host, which our log-in is not for.
        own = urlsplit(base)
        ours = place.netloc == own.netloc or _host(place) == _host(own)
        if ours:
            # Behind a proxy that ends TLS, registries may call themselves http.
            place = place._replace(scheme=own.scheme, netloc=own.netloc)
        url = place.geturl()
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        log_ins = 0
        while True:
            shown = self._access.header(scope) if ours else ""
            sent = {**(headers or {}), **({"Authorization": shown} if shown else {})}
            try:
                answer = self._session.request(
                    method,
                    url,
                    headers=sent,
                    data=body() if body else None,
                    timeout=timeout,
                    stream=stream,
                    # A body would be sent empty to where it leads on.
                    allow_redirects=method in ("GET", "HEAD"),
                )
                if (
                    answer.status_code == 401
                    and ours
                    and log_ins < _LOG_INS
                    and _is_own(answer)
                    and self._access.challenged(answer, scope, shown, timeout)
                ):
                    answer.close()
                    log_ins += 1
                    continue
            except (RequestException, ValueError) as error:
                endpoints.refuse_certificate(error, self.endpoint.registry)
                raise PassingError(_reason(error)) from None
            if answer.status_code != 401:
                self._access.taken(shown)
            faults.check(answer, what, self.endpoint.registry)
            return answer


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


def _reason(error: BaseException) -> str:
    """Return the deepest cause in plain words: requests wraps urllib3 wraps the OSError."""
    deepest = error
    while True:
        inner = deepest.__cause__ or deepest.__context__ or getattr(deepest, "reason", None)
        inner = inner or next((a for a in deepest.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException) or inner is deepest:
            break
        deepest = inner
    if isinstance(deepest, HTTPException) and hasattr(deepest, "partial"):
        return "the answer was cut off"
    words = getattr(deepest, "strerror", None) or getattr(deepest, "verify_message", None)
    text = _LOG_IN.sub("", str(words or deepest)).partition("(Caused by")[0]
    return text or type(deepest).__name__


class Repository:
    """One repository: manifests, blobs, tags. Errors are :class:`RegistryError` with the fix."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self.stop = threading.Event()  # once it is set, nothing is tried again

    def __str__(self) -> str:
        return f"{self.registry.endpoint.registry}/{self.name}"

    def insist(self, what: str, look: Callable[[], Any]) -> Any:
        """Do something again while its fault may pass, with growing pauses, not for ever.

        Raises:
            RegistryError: the fault did not pass, or never will.

        """
        reasons: list[str] = []
        fix = ""
        for attempt in range(1, faults.ATTEMPTS + 1):
            try:
                return look()
            except PassingError as error:
                reasons.append(str(error))
                fix = error.fix
                pause = faults.pause_before(attempt + 1, error.pause)
                if attempt < faults.ATTEMPTS and self.stop.wait(pause):
                    raise RegistryError(f"{what}: stopped; run this again") from None
        seen = "; ".join(dict.fromkeys(reasons))
        raise RegistryError(f"{what}: {seen} ({faults.ATTEMPTS} attempts); {fix}")

    def get(self, reference: str, known: str = "") -> Manifest:
        """Return the manifest under a tag or digest.

        What a tag holds has to be there under its digest as well, or it was changed on the way;
        ``known`` is a digest of which that is sure.

        Raises:
            MissingError: there is none.
            RegistryError: the registry refuses, or serves other bytes than the digest says.

        """
        what = self.named(reference)
        found: Manifest = self.insist(what, lambda: self._get(reference, known, what))
        return found

    def _get(self, reference: str, known: str, what: str) -> Manifest:
        headers = {"Accept": _ACCEPTED}
        answer = self._ask("GET", f"manifests/{reference}", what, headers=headers)
        data = answer.content
        said = answer.headers.get("Docker-Content-Digest", "")
        by_digest = reference.startswith("sha256:")
        right = reference if by_digest else said
        if right.startswith("sha256:") and right != digest_of(data):
            raise PassingError(f"the bytes served are not {right}")
        try:
            found = manifest_of(data, answer.headers.get("Content-Type", "").partition(";")[0])
        except ValueError:
            raise PassingError("what is served is no manifest") from None
        if not by_digest and found.digest != known:
            try:
                self._ask("HEAD", f"manifests/{found.digest}", what, headers=headers)
            except MissingError:
                raise PassingError(f"{found.digest} is served, which is not there") from None
        return found

    def find(self, reference: str, known: str = "") -> Manifest | None:
        """Return the manifest under a tag or digest, as ``get`` does; None where there is none."""
        try:
            return self.get(reference, known)
        except MissingError:
            return None

    def put(self, reference: str, manifest: Manifest) -> None:
        """Put a manifest under a tag or its digest: readers see the old one or this one, no part."""
        what = self.named(reference)

        def send() -> None:
            headers = {"Content-Type": manifest.media_type}
            answer = self._ask(
                "PUT", f"manifests/{reference}", what, headers=headers, body=lambda: manifest.data
            )
            said = answer.headers.get("Docker-Content-Digest") or manifest.digest
            if said != manifest.digest:
                raise PassingError(f"the registry says it got {said}, sent was {manifest.digest}")

        self.insist(what, send)

    def has(self, digest: str) -> bool:
        """Say whether the repository has a blob."""
        what = f"{self}: layer {digest}"
        try:
            self.insist(what, lambda: self._ask("HEAD", f"blobs/{digest}", what))
        except MissingError:
            return False
        return True

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob from another repository of the registry; False where it does not give it."""
        what = f"{self}: layer {digest}"
        path = f"blobs/uploads/?mount={digest}&from={source}"
        scope = f"{self._scope} repository:{source}:pull"

        def ask() -> bool:
            answer = self._ask("POST", path, what, scope=scope)
            if answer.status_code == 201:
                return True
            self._cancel(answer.headers.get("Location", ""))
            return False

        try:
            return bool(self.insist(what, ask))
        except RegistryError:
            return False  # then it is uploaded, and that says what is wrong

    def read(self, digest: str) -> Iterator[bytes]:
        """Yield a blob's bytes, checked against its digest at their end; broken off is an error.

        Raises:
            PassingError: the connection broke, or the bytes are others.
            RegistryError: the registry refuses.

        """
        from requests.exceptions import RequestException

        what = f"{self}: layer {digest}"
        answer = self._ask("GET", f"blobs/{digest}", what, stream=True)
        seen = hashlib.sha256()
        try:
            for chunk in answer.iter_content(_CHUNK):
                seen.update(chunk)
                yield chunk
        except RequestException as error:
            raise PassingError(_reason(error)) from None
        finally:
            answer.close()
        if f"sha256:{seen.hexdigest()}" != digest:
            raise PassingError("the registry served other bytes")

    def upload(
        self,
        digest: str,
        size: int,
        opened: Callable[[], Iterable[bytes]],
        sent: Callable[[int], object],
    ) -> None:
        """Upload a blob of ``size`` bytes; ``sent`` is told how many bytes of it are through.

        ``opened`` gives its bytes from the start, once for each attempt.
        """
        what = f"{self}: layer {digest}"

        def send() -> None:
            started = self._ask("POST", "blobs/uploads/", what)
            place = started.headers.get("Location", "")
            mark = "&" if "?" in place else "?"
            body: list[_Body] = []

            def fresh() -> _Body:
                body.append(_Body(opened(), size, sent))
                return body[-1]

            try:
                answer = self._ask(
                    "PUT",
                    f"{place}{mark}digest={digest}",
                    what,
                    headers={"Content-Type": "application/octet-stream"},
                    body=fresh,
                )
            except MissingError:
                # What was begun is forgotten there: a registry that started again, or another one.
                raise PassingError("the upload was forgotten") from None
            finally:
                for one in body:
                    one.close()
            said = answer.headers.get("Docker-Content-Digest") or digest
            if said != digest:
                raise PassingError(f"the registry says it got {said}")

        def send_or_find() -> None:
            try:
                send()
            except PassingError:
                # The answer may be lost of what was done.
                if not self._there(digest, what):
                    raise

        self.insist(what, send_or_find)

    def _there(self, digest: str, what: str) -> bool:
        try:
            self._ask("HEAD", f"blobs/{digest}", what)
        except (PassingError, RegistryError):
            return False
        return True

    def require_writable(self) -> None:
        """Begin an upload and take it back.

        Raises:
            RegistryError: this account may not push here, or the registry takes nothing.

        """
        what = f"{self} cannot be pushed to"
        answer = self.insist(what, lambda: self._ask("POST", "blobs/uploads/", what))
        self._cancel(answer.headers.get("Location", ""))

    def _cancel(self, place: str) -> None:
        # Registries forget what is begun by themselves, later.
        if place:
            try:
                self._ask("DELETE", place, "")
            except (PassingError, RegistryError):
                return

    def named(self, reference: str) -> str:
        """Return the whole reference, for people."""
        return f"{self}{'@' if reference.startswith('sha256:') else ':'}{reference}"

    @property
    def _scope(self) -> str:
        return f"repository:{self.name}:pull,push"

    def _ask(
        self, method: str, path: str, what: str, *, scope: str = "", **options: Any
    ) -> Response:
        whole = path if path.startswith(("http://", "https://", "/")) else f"/v2/{self.name}/{path}"
        return self.registry.request(
            method, whole, what=what, scope=scope or self._scope, **options
        )


class _Body:
    """A request's body of known length: with chunks of unknown number, registries behave differently."""

    def __init__(self, chunks: Iterable[bytes], size: int, sent: Callable[[int], object]) -> None:
        self._chunks = iter(chunks)
        self._size = size
        self._sent = sent
        self._through = 0
        sent(0)

    def __len__(self) -> int:
        return self._size

    def read(self, _size: int = -1) -> bytes:
        from requests.exceptions import ConnectionError as Lost

        try:
            # A whole chunk, whatever is asked for: the sender takes it as it comes.
            piece = next(self._chunks, b"")
        except PassingError as error:  # from another registry
            raise Lost(str(error)) from None
        except MissingError as error:  # there; not what it is sent to
            raise RegistryError(str(error)) from None
        if piece:
            self._through += len(piece)
            self._sent(self._through)
        return piece

    def close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close:
            close()
