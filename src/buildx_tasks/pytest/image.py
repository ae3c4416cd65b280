"""One platform's image as a test has it: it can be run, asked, and looked into."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from buildx_tasks.builders import capability
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.images.paths import absolute, is_glob, is_in
from buildx_tasks.pytest.failing import said_plainly
from buildx_tasks.text import printable
from buildx_tasks.verification import walk
from buildx_tasks.verification.check import Found, fill_in, placeholders
from buildx_tasks.verification.checks import run, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from buildx_tasks.images.paths import Entry, Tree
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Subject

Spec = TypeVar("Spec")

_MOST_BYTES = 16_000_000  # of one file's content: all that is asked for is in memory


class Ran(NamedTuple):
    """How a container ended. ``seconds`` holds all that the engine did for it."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class File(NamedTuple):
    """What is at one path of an image.

    ``kind`` (file, directory, symlink, …) and ``link`` (what a symbolic link says) are about the path
    itself, the others about what it leads to: ``mode`` as in ``0o755``, ``size`` in bytes,
    ``content`` of a file of 16 MB at most that was asked for, else None.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    link: str
    content: bytes | None

    @property
    def text(self) -> str:
        """The content as UTF-8."""
        return (self.content or b"").decode()


class Image:
    """One platform's image of a target. What it makes on the engine is removed, whatever happens.

    Every method fails the test where the image is not built, or is not as expected.
    """

    def __init__(
        self, target: TargetPlan, platform: Platform, subject: Callable[[], Subject]
    ) -> None:
        self._subject = subject
        self._target = target
        self._platform = platform
        self.target = target.name
        self.platform = str(platform)

    def __str__(self) -> str:
        """Return the cell, as in ``app@linux/arm64``."""
        return f"{self.target}@{self.platform}"

    @property
    def digest(self) -> str:
        """The digest of the platform's manifest, as it was built last."""
        __tracebackhide__ = True
        with said_plainly():
            return self._subject().image.manifest(self._platform)

    def run(self, *args: str, exit_code: int | None = 0, **options: Any) -> Ran:
        """Run it to its end, with ``args`` put after the image, as in docker run.

        ``options`` are the keys of ``[target.NAME.verify.run]``, as ``env``, ``stdin``, ``user``,
        ``timeout`` (60 seconds), ``stdout``. With ``exit_code`` None any is as expected.
        """
        __tracebackhide__ = True
        from buildx_tasks.language.expectations import Run

        with said_plainly():
            subject = self._runnable()
            given = {"args": list(args), **options}
            if exit_code is not None:
                given["exit_code"] = exit_code
            spec = self._spec(subject, Run, "run", given)
            began = time.monotonic()
            ended, found = run.carried_out(subject, spec, any_exit=exit_code is None)
            _require(self, found)
            seconds = time.monotonic() - began
            return Ran(ended.exit_code or 0, ended.stdout, ended.stderr, seconds)

    @contextlib.contextmanager
    def service(self, port: int, *args: str, **options: Any) -> Iterator[Service]:
        """Start it, and give it once it answers at the container's ``port``; it is gone afterwards.

        ``options`` are the keys of ``[target.NAME.verify.service]``, as ``env``, ``http``,
        ``ready_within`` (30 seconds), ``network``.
        """
        __tracebackhide__ = True
        from buildx_tasks.language.expectations import Service as Spec

        with contextlib.ExitStack() as stack:
            with said_plainly():
                subject = self._runnable()
                given = {"port": port, "args": list(args), **options}
                spec = self._spec(subject, Spec, "service", given)
                answering = stack.enter_context(_named(self, service.answering(subject, spec)))
            yield Service(self, answering)

    def files(self, *patterns: str) -> dict[str, File]:
        """Return what is at the paths and globs, by path, with content; without any all, without it.

        A path without marks of a glob must be there; a glob may stand for nothing.
        """
        __tracebackhide__ = True
        with said_plainly():
            visitor = _Contents(patterns)
            for found in walk.walk(self._subject(), [visitor]):
                _require(self, found)
            return dict(visitor.files(self))

    def _runnable(self) -> Subject:
        subject = self._subject()
        lacking = (str(self), "emulator")
        subject.session.once(
            lacking, lambda: capability.require_runnable(subject.engine, [subject.cell])
        )
        return subject

    def _spec(self, subject: Subject, kind: type[Spec], what: str, given: dict[str, Any]) -> Spec:
        import msgspec

        fields: Any = msgspec.structs.fields(kind)  # type: ignore[arg-type]
        known = [field.name for field in fields]
        if unknown := next((key for key in given if key not in known), ""):
            hint = nearest(unknown, known) or f"; known: {listed(known)}"
            raise UsageError(f'{what}: unknown option "{unknown}"{hint}')
        plain = {key.replace("_", "-"): value for key, value in given.items()}
        tag = self._target.spec.tags[0] if self._target.spec.tags else ""
        try:
            made = msgspec.convert(plain, kind)
        except msgspec.ValidationError as error:
            raise UsageError(f"{what}: {error}; see docs/reference.md for what it takes") from None
        filled: Spec = fill_in(made, placeholders(subject.cell, tag))
        return filled


class Service:
    """A service that answers: at ``host`` and ``port``, as seen from here."""

    def __init__(self, image: Image, answering: service.Answering) -> None:
        self._image = image
        self._answering = answering
        self.host, self.port = answering.host, answering.port
        self.url = f"http://{self.host}:{self.port}"

    def stop(self) -> Ran:
        """Tell it to stop, as ``docker stop`` does; fail where it does not end in time, or with another
        exit code than expected (``stop_within`` and ``exit_code`` of ``service``).
        """  # noqa: D205
        __tracebackhide__ = True
        with said_plainly():
            began = time.monotonic()
            found = self._answering.stop()
            _require(self._image, found)
            code = self._answering.expected
            return Ran(code, found.stdout, found.stderr, time.monotonic() - began)


@contextlib.contextmanager
def _named(image: Image, started: Any) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        try:
            answering = stack.enter_context(started)
        except RefusedError as refused:
            raise RefusedError(f"{image}: {refused}") from None
        yield answering


def _require(image: Image, found: Found) -> None:
    if found.problems:
        lines = [f"{image}: {problem}" for problem in found.problems]
        streams = {"stdout": found.stdout, "stderr": found.stderr}
        for name, text in streams.items():
            if text.strip():
                lines += [f"--- {name}", *map(printable, text.rstrip("\n").split("\n"))]
        raise RefusedError("\n".join(lines))


class _Contents:
    """A Visitor that keeps what is at the paths and globs."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._wanted: set[str] = set()
        self._read: dict[str, _Bytes] = {}
        self._tree: Tree

    def take(self, entry: Entry) -> _Bytes | None:
        is_wanted = is_in(entry.path, self._patterns)
        if entry.size > _MOST_BYTES or not (is_wanted or entry.path in self._wanted):
            return None
        return self._read.setdefault(entry.path, _Bytes())

    def missing(self, tree: Tree) -> set[str]:
        selected = (entry for pattern in self._patterns for entry in tree.select(pattern))
        targets = filter(None, (tree.find(entry.path) for entry in selected))
        self._wanted = {target.first for target in targets if target.kind == "file"}
        return self._wanted - self._read.keys()

    def found(self, tree: Tree) -> Found:
        self._tree = tree
        return Found()

    def files(self, image: Image) -> Iterator[tuple[str, File]]:
        if not self._patterns:
            for entry in self._tree:
                yield entry.path, self._file(entry.path, entry)
        for pattern in self._patterns:
            selected = self._tree.select(pattern)
            if not selected and not is_glob(pattern):
                near = self._tree.near(pattern)
                raise RefusedError(f"{image}: nothing is at {printable(absolute(pattern))}{near}")
            for entry in selected:
                path = entry.path if is_glob(pattern) else absolute(pattern)
                yield path, self._file(path, entry)

    def _file(self, path: str, entry: Entry) -> File:
        target = self._tree.find(entry.path) or entry
        read = self._read.get(target.first) if self._patterns else None
        content = bytes(read.data) if read else None
        about = (target.mode, target.uid, target.gid, target.size)
        return File(
            path, entry.kind, *about, entry.link if entry.kind == "symlink" else "", content
        )


class _Bytes:
    """A Reader that keeps all."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, chunk: bytes) -> bool:
        self.data += chunk
        return True

    def end(self) -> None:
        pass
