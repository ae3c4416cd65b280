"""What is wanted of one repository in; that, or why it is refused, out: tried again while it may pass."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks.errors import MissingError, RegistryError
from buildx_tasks.registry import faults
from buildx_tasks.registry.connection import Request, reason_of
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.manifests import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Manifest,
    digest_of,
    manifest_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from requests import Response

    from buildx_tasks.registry.connection import Registry


_ACCEPTED = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_CHUNK = 1 << 20


class Repository:
    """One repository: manifests, blobs, tags. Errors are :class:`RegistryError` with the fix."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self.stop = threading.Event()  # once it is set, nothing is tried again

    def __str__(self) -> str:
        return f"{self.registry.endpoint.registry}/{self.name}"

    def within(self, seconds: float) -> Repository:
        """Return this repository, to be asked questions: all together, they are given up in time.

        From then on each raises RegistryError: with the faults that did not pass, or
        ``WHAT: no answer in 30 s``. ``read`` and ``upload`` take what time they need.
        """
        return _Limited(self.registry, self.name, seconds)

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

    def get(self, reference: str, known: str = "", what: str = "") -> Manifest:
        """Return the manifest under a tag or digest.

        What a tag holds has to be there under its digest as well, or it was changed on the way;
        ``known`` is a digest of which that is sure. Errors begin with ``what``, where it is given.

        Raises:
            MissingError: there is none.
            RegistryError: the registry refuses, or serves other bytes than the digest says.

        """
        said = what or self.named(reference)
        found: Manifest = self.insist(said, lambda: self._get(reference, known, said))
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
        answer = self._ask("GET", f"blobs/{digest}", what, is_streamed=True)
        seen = hashlib.sha256()
        try:
            for chunk in answer.iter_content(_CHUNK):
                seen.update(chunk)
                yield chunk
        except RequestException as error:
            raise PassingError(reason_of(error)) from None
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

    def _ask(self, method: str, path: str, what: str, *, scope: str = "", **more: Any) -> Response:
        whole = path if path.startswith(("http://", "https://", "/")) else f"/v2/{self.name}/{path}"
        return self.registry.ask(Request(method, whole, what, scope or self._scope, **more))


class _Limited(Repository):
    """A repository whose questions are given up in time, whatever they hang at: a name server too."""

    def __init__(self, registry: Registry, name: str, seconds: float) -> None:
        super().__init__(registry, name)
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def insist(self, what: str, look: Callable[[], Any]) -> Any:
        """Do as a Repository, until the time is over."""
        reasons: list[str] = []
        answer: Future[Any] = Future()

        def noting() -> Any:
            try:
                return look()
            except PassingError as error:
                reasons.append(str(error))
                raise

        def ask() -> None:
            try:
                answer.set_result(super(_Limited, self).insist(what, noting))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                answer.set_exception(error)

        # A daemon: what it hangs at ends by its own time-outs, and must not hold up our end.
        threading.Thread(target=ask, daemon=True).start()
        wait([answer], max(0.0, self._end - time.monotonic()))
        if answer.done():
            return answer.result()
        self.stop.set()
        seen = "; ".join(dict.fromkeys(reasons)) or f"no answer in {self._seconds:g} s"
        raise RegistryError(f"{what}: {seen}")


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
