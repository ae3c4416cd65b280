"""What is wanted of one repository in; that, or why it is refused, out: tried again while it may pass."""

from __future__ import annotations

import re
import sys
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.engine import bodies
from buildx_tasks.engine.bodies import DIGEST
from buildx_tasks.errors import MissingError, RefusalError, RegistryError
from buildx_tasks.machine import output
from buildx_tasks.registry import faults, wire
from buildx_tasks.registry.body import Body
from buildx_tasks.registry.connection import Request, reason_of
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.manifests import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MOST_JSON,
    MalformedError,
    Manifest,
    digest_of,
    manifest_of,
)
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from requests import Response

    from buildx_tasks.registry.connection import Registry


_ACCEPTED = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_SHOWN = 80  # characters of what a registry says


class Head(NamedTuple):
    """What a registry says of a manifest without giving it."""

    digest: str
    is_index: bool


class Repository:
    """One repository: manifests, blobs, tags. Errors are :class:`RegistryError` with the fix."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self.stop = threading.Event()  # once it is set, nothing is tried again

    def __str__(self) -> str:
        return f"{self.registry.endpoint.registry}/{self.name}"

    def within(self, seconds: float, *, once: bool = False) -> Repository:
        """Return this repository, to be asked questions: all together, they are given up in time.

        ``once``: nothing is tried again.
        From then on each raises RegistryError: with the faults that did not pass, or
        ``WHAT: no answer in 30 s``. ``read`` and ``upload`` take what time they need.
        """
        return _Limited(self.registry, self.name, seconds, once=once)

    def insist(self, what: str, look: Callable[[], Any]) -> Any:
        """Do something again while its fault may pass, with growing pauses, not for ever.

        Raises:
            RegistryError: the fault did not pass, or never will.

        """
        reasons: list[str] = []
        for attempt in range(1, faults.ATTEMPTS + 1):
            try:
                return look()
            except PassingError as error:
                reasons.append(str(error))
                if attempt == faults.ATTEMPTS:
                    seen = "; ".join(dict.fromkeys(reasons))
                    raise error.final(f"{what}: {seen} ({attempt} attempts); {error.fix}") from None
                self._pause(what, error, attempt + 1)
        raise AssertionError

    def _pause(self, what: str, error: PassingError, attempt: int) -> None:
        """Wait before an attempt, and say so.

        Raises:
            RegistryError: it was stopped meanwhile.

        """
        pause = faults.pause_before(attempt, error.pause)
        if not self.stop.is_set():
            which = f"attempt {attempt} of {faults.ATTEMPTS} in {pause:.1f} s"
            sys.stderr.write(f"{what}: {error}; {which}\n")  # at once: several threads do
            sys.stderr.flush()
        with output.doing(f"{what}: {error}"):
            if self.stop.wait(pause):
                raise RegistryError(f"{what}: stopped; run this again") from None

    def get(self, reference: str, known: str = "", what: str = "") -> Manifest:
        """Return the manifest under a tag or digest.

        What a tag holds has to be there under its digest as well, or it was changed on the way;
        ``known`` is a digest of which that is sure. Errors begin with ``what``, where it is given.

        Raises:
            MissingError: there is none.
            RegistryError: the registry refuses, or serves other bytes than the digest says.

        """
        said = what or self.named(reference)
        seen: set[bytes] = set()
        found: Manifest = self.insist(said, lambda: self._get(reference, known, said, seen))
        return found

    def _get(self, reference: str, known: str, what: str, seen: set[bytes]) -> Manifest:
        headers = {"Accept": _ACCEPTED}
        path = f"manifests/{reference}"
        answer = self._ask("GET", path, what, headers=headers, most=MOST_JSON)
        data = answer.content
        said = answer.headers.get("Docker-Content-Digest", "")
        by_digest = ":" in reference
        right = reference if by_digest else said
        is_sure = re.search(DIGEST, right) is not None
        if is_sure and right != digest_of(data, right):
            raise PassingError(f"the bytes served are not {right}")
        try:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            named = self.named(reference)
            found = manifest_of(data, kind, named, reference if by_digest else "")
        except MalformedError as error:
            # What is served a second time was not damaged on its way.
            if is_sure or not error.is_damaged or data in seen:
                raise
            seen.add(data)
            raise PassingError("what is served is no manifest") from error
        if not by_digest and found.digest != known:
            try:
                self._ask("HEAD", f"manifests/{found.digest}", what, headers=headers)
            except MissingError:
                raise PassingError(f"{found.digest} is served, which is not there") from None
        return found

    def head(self, reference: str, what: str = "") -> Head:
        """Return what is under a tag or digest, by one HEAD; by a GET where that tells no digest.

        Raises:
            MissingError: there is nothing.
            RegistryError: the registry refuses.

        """
        said = what or self.named(reference)
        headers = {"Accept": _ACCEPTED}
        answer = self.insist(
            said, lambda: self._ask("HEAD", f"manifests/{reference}", said, headers=headers)
        )
        digest = answer.headers.get("Docker-Content-Digest", "")
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if re.search(DIGEST, digest) and kind in (*INDEX_TYPES, *MANIFEST_TYPES):
            return Head(digest, kind in INDEX_TYPES)
        found = self.get(reference, what=what)
        return Head(found.digest, found.is_index)

    def says(self, reference: str, what: str) -> str | None:
        """Return the digest that the registry says is under a tag or digest, by one HEAD.

        ``""`` where there is nothing, None where it does not say. Errors begin with ``what``.

        Raises:
            RegistryError: it does not come back.

        """

        def ask() -> str | None:
            headers = {"Accept": _ACCEPTED}
            try:
                answer = self._ask("HEAD", f"manifests/{reference}", what, headers=headers)
            except MissingError:
                return ""
            except RefusalError:
                return None
            return answer.headers.get("Docker-Content-Digest")

        said: str | None = self.insist(what, ask)
        return said

    def find(self, reference: str, known: str = "") -> Manifest | None:
        """Return the manifest under a tag or digest, as ``get`` does; None where there is none."""
        try:
            return self.get(reference, known)
        except MissingError:
            return None

    def put(self, reference: str, manifest: Manifest) -> bool:
        """Put a manifest under a tag or its digest: readers see the old one or this one, no part.

        Returns whether the registry lists it by itself among what is about its ``subject``.
        """
        what = self.named(reference)

        def send() -> bool:
            headers = {"Content-Type": manifest.media_type}
            answer = self._ask(
                "PUT", f"manifests/{reference}", what, headers=headers, body=lambda: manifest.data
            )
            said = answer.headers.get("Docker-Content-Digest") or manifest.digest
            if said != manifest.digest:
                said = printable(said[:_SHOWN])
                raise PassingError(f"the registry says it got {said}, sent was {manifest.digest}")
            return "OCI-Subject" in answer.headers

        return bool(self.insist(what, send))

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

    def read(self, digest: str, size: int | None = None) -> Iterator[bytes]:
        """Yield a blob's bytes, cut at its size, the last ones once size and digest are right.

        Raises:
            PassingError: the connection broke, or the bytes are others.
            RegistryError: the registry refuses, or the size is a lie.

        """
        what = f"{self}: layer {digest}"
        answer = self._ask("GET", f"blobs/{digest}", what, is_streamed=True)
        try:
            yield from bodies.checked(wire.pieces(answer), digest, size)
        except bodies.OtherBytesError as error:
            if error.is_lie:
                raise RegistryError(f"{what}: {error}; it is no image to go on with") from None
            raise PassingError(f"the registry served other bytes: {error}") from None
        except wire.UnboundedError as error:
            raise RegistryError(f"{what}: {error}; see that it is to be trusted") from None
        except OSError as error:  # requests'
            raise PassingError(reason_of(error)) from None
        finally:
            answer.close()

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
            body: list[Body] = []

            def fresh() -> Body:
                body.append(Body(opened(), what, size, sent))
                if not size:
                    body[-1].read()  # nothing of it would be asked for
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
                raise PassingError(f"the registry says it got {printable(said[:_SHOWN])}")

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
        return f"{self}{'@' if ':' in reference else ':'}{reference}"

    @property
    def _scope(self) -> str:
        return f"repository:{self.name}:pull,push"

    def _ask(self, method: str, path: str, what: str, *, scope: str = "", **more: Any) -> Response:
        whole = path if path.startswith(("http://", "https://", "/")) else f"/v2/{self.name}/{path}"
        return self.registry.ask(Request(method, whole, what, scope or self._scope, **more))


class _Limited(Repository):
    """A repository whose questions are given up in time, whatever they hang at: a name server too."""

    def __init__(self, registry: Registry, name: str, seconds: float, *, once: bool) -> None:
        super().__init__(registry, name)
        self._once = once
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
                if self._once:
                    raise error.final(f"{what}: {error}; {error.fix}") from None
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
