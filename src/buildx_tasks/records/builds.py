"""What a build did in; ``.buildx/builds/``, which has the last 20 builds, out.

Each build is a file of JSON lines, ``20261126-081530-123-4f2a.jsonl``, written while it goes on: a
build that was killed leaves what had happened by then. The lines, by their ``event``:

``begun``
    the first one: ``format``, ``at``, ``versions``, ``cells``, ``inputs``.
``seen``
    a step as BuildKit plans it: what it is, what it needs, and of which cells it is (``cells``), or
    can be (``vague``).
``ran``
    how far a step is, when it starts and when it ends: of several lines the last one counts.
``done``
    the last one: ``outcome``, ``seconds``, and the cells that ``failed``.

There are no logs of steps, and no values of secrets: the writer leaves them out.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import sys
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

import msgspec

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, own_folder
from buildx_tasks.records.ledger import FOLDER, Ledger
from buildx_tasks.records.steps import Step, spread
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

BUILT, FAILED, INTERRUPTED, UNFINISHED = "built", "failed", "interrupted", "unfinished"
MOST = 20  # builds that are kept

_FOLDER = "builds"
_FORMAT = 1
_LARGEST = 5_000_000  # bytes of one build
_ALL = 40_000_000  # bytes of all
_LONGEST = 10_000_000.0  # seconds of a build, 115 days
_RESERVED = 100_000  # bytes of one build that its end may take
_ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{4}")


class CellRecord(NamedTuple):
    """A cell that was to be built; emulated where no node of the builder runs its platform natively.

    ``fingerprint`` is of all that its result depends on, ``""`` where that cannot be known.
    """

    id: str
    is_emulated: bool = False
    fingerprint: str = ""


class Build(NamedTuple):
    """A recorded build.

    ``at`` is when it began (UTC, ISO 8601), ``seconds`` how long it took: None where it was killed, or
    goes on. ``outcome`` is built, failed, interrupted or unfinished; ``failed`` are the ids of cells.
    ``versions`` are those of buildx, of the engine and of BuildKit, as far as they are known.
    ``steps`` are those that were begun, in the order of their start; where the file had no room for
    more, it ``is_cut``. ``inputs`` are what the result of a target depends on, by target and by what
    people call it, each as a short hash, as far as they are known.
    """

    id: str
    at: str
    seconds: float | None
    outcome: str
    versions: dict[str, str]
    cells: tuple[CellRecord, ...]
    steps: tuple[Step, ...]
    failed: tuple[str, ...] = ()
    is_cut: bool = False
    inputs: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Begun(msgspec.Struct, tag_field="event", tag="begun", omit_defaults=True):
    """The first line of a build."""

    at: str
    cells: tuple[CellRecord, ...] = ()
    versions: dict[str, str] = {}
    format: int = _FORMAT
    inputs: dict[str, dict[str, str]] = {}


class Seen(msgspec.Struct, tag_field="event", tag="seen", omit_defaults=True):
    """A step as it is planned."""

    digest: str
    name: str
    cells: tuple[str, ...] = ()
    vague: tuple[str, ...] = ()
    place: str = ""
    platform: str = ""
    dockerfile: str = ""
    line: Optional[int] = None  # noqa: UP045 - read at run time on Python 3.9
    is_emulated: bool = False
    inputs: tuple[str, ...] = ()
    bake: int = 1


class Ran(msgspec.Struct, tag_field="event", tag="ran", omit_defaults=True):
    """How far a step is."""

    digest: str
    started: float
    ended: Optional[float] = None  # noqa: UP045
    is_cached: bool = False
    bytes: int = 0
    error: str = ""
    bake: int = 1


class Done(msgspec.Struct, tag_field="event", tag="done", omit_defaults=True):
    """The last line of a build."""

    outcome: str
    seconds: float
    failed: tuple[str, ...] = ()
    is_cut: bool = False


class _Versioned(msgspec.Struct):
    """What any version's first line has."""

    format: int = 0


Line = Union[Begun, Seen, Ran, Done]


class Recorder:
    """Writes the record of one build; what the disk does not take is said once, and left out."""

    def __init__(
        self,
        ledger: Ledger,
        cells: Sequence[CellRecord],
        versions: Mapping[str, str],
        inputs: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        """Begin a record.

        Raises:
            EngineError: the folder is another user's, or a link is in its place.

        """
        now = dt.datetime.now(dt.timezone.utc)
        self._began = time.monotonic()
        self._size, self._is_cut, self._file = 0, False, -1
        self._encode = msgspec.json.Encoder().encode
        self.id = f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03}-{secrets.token_hex(2)}"
        self.epoch = now.timestamp()
        folder = ledger.folder / _FOLDER
        ledger.prepare()
        try:
            own_folder(folder)
            _make_room(folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = open_own(folder / f"{self.id}.jsonl", flags)
        except OSError as error:
            self._give_up(error)
        known = {target: dict(its) for target, its in inputs.items()}
        self.write([Begun(now.isoformat(), tuple(cells), dict(versions), inputs=known)])

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines, with one call of the system."""
        data = b"".join(self._encode(line) + b"\n" for line in lines)
        if self._size + len(data) > _LARGEST - _RESERVED:
            self._is_cut = True
        else:
            self._append(data)

    def done(self, outcome: str, failed: Sequence[str] = ()) -> None:
        """Write how it ended, and let go of the file; only the first call counts."""
        seconds = round(time.monotonic() - self._began, 3)
        data = self._encode(Done(outcome, seconds, tuple(failed), self._is_cut)) + b"\n"
        if len(data) > _RESERVED:
            data = self._encode(Done(outcome, seconds, is_cut=True)) + b"\n"
        self._append(data)
        self._let_go()

    def _append(self, data: bytes) -> None:
        if self._file < 0:
            return
        try:
            self._size += os.write(self._file, data)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._let_go()
        line = f"warning: the build is not recorded: {error.strerror}; make room or allow it"
        print(line, file=sys.stderr, flush=True)

    def _let_go(self) -> None:
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
        self._file = -1


def recent(root: Path) -> list[str]:
    """Return the ids of the builds that a project's folder has records of, newest first.

    Raises:
        EngineError: they are another user's, or a link is in their place.

    """
    folder = root / FOLDER / _FOLDER
    for one in (folder.parent, folder):
        if not os.path.lexists(one):
            return []
        own_folder(one)
    return [path.stem for path in reversed(_files(folder))]


def newest_versions(root: Path) -> dict[str, str]:
    """Return the versions that the newest record has; none where there is no record.

    Raises:
        EngineError: as :func:`recent`.

    """
    for identity in recent(root)[:1]:
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            path = root / FOLDER / _FOLDER / f"{identity}.jsonl"
            with os.fdopen(open_own(path, os.O_RDONLY), "rb") as stream:
                return msgspec.json.decode(stream.readline(_LARGEST), type=Begun).versions
    return {}


def read(root: Path, identity: str) -> Build:
    """Return a recorded build.

    Raises:
        EngineError: there is none of that id, it cannot be read, is damaged, or of a newer version.

    """
    known = recent(root)
    if identity not in known:
        listed = f"there is: {', '.join(known)}" if known else "invoke build records one"
        raise EngineError(f'no build "{printable(identity)}" is recorded; {listed}')
    path = root / FOLDER / _FOLDER / f"{identity}.jsonl"
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as stream:
            data = stream.read(_LARGEST)
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}; allow it") from None
    begun, done = Begun(""), Done(UNFINISHED, -1)
    seen: dict[tuple[int, str], Seen] = {}
    ran: dict[tuple[int, str], Ran] = {}
    _refuse_newer(path, data)
    for line in _lines(data):
        if isinstance(line, Begun):
            begun = line
        elif isinstance(line, Seen):
            seen[line.bake, line.digest] = _merged(seen.get((line.bake, line.digest)), line)
        elif not _is_possible(line):
            continue
        elif isinstance(line, Done):
            done = line
        else:
            ran[line.bake, line.digest] = line
    if not begun.at:
        raise EngineError(
            f"{path} does not say what was built: it is damaged; remove it, or choose another with "
            f"--build: {', '.join(one for one in known if one != identity) or 'there is none'}"
        )
    is_known = done.outcome in (BUILT, FAILED, INTERRUPTED)
    return Build(
        identity,
        begun.at,
        done.seconds if is_known else None,
        done.outcome if is_known else UNFINISHED,
        begun.versions,
        begun.cells,
        tuple(_steps(seen, ran)),
        done.failed,
        done.is_cut,
        begun.inputs,
    )


def _lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that can be read: the last one may be torn, or the file typed by hand."""
    decoder = msgspec.json.Decoder(Line)
    for line in data.split(b"\n"):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield decoder.decode(line)


def _is_possible(line: Ran | Done) -> bool:
    """Say whether times are some that a build can have."""
    if isinstance(line, Done):
        return 0 <= line.seconds <= _LONGEST
    ended = line.started if line.ended is None else line.ended
    return 0 <= line.started <= ended <= _LONGEST and line.bytes >= 0


def _merged(known: Seen | None, line: Seen) -> Seen:
    """Return a step as two targets name it, each with its own cells."""
    if known is None:
        return line
    line.cells = tuple(dict.fromkeys((*known.cells, *line.cells)))
    line.vague = tuple(dict.fromkeys((*known.vague, *line.vague)))
    line.inputs = line.inputs or known.inputs
    return line


def _steps(
    seen: Mapping[tuple[int, str], Seen], ran: Mapping[tuple[int, str], Ran]
) -> Iterator[Step]:
    cells: dict[tuple[int, str], set[str]] = {}
    for bake in {number for number, _ in seen}:
        its = {digest: one for (number, digest), one in seen.items() if number == bake}
        found = spread(
            {digest: one.cells for digest, one in its.items()},
            {digest: one.vague for digest, one in its.items()},
            {digest: one.inputs for digest, one in its.items()},
        )
        cells.update({(bake, digest): some for digest, some in found.items()})
    for key, run in sorted(ran.items(), key=lambda item: item[1].started):
        one = seen.get(key)
        if one is None:
            continue
        yield Step(
            tuple(sorted(cells[key])),
            one.name,
            one.digest,
            one.place,
            one.platform,
            one.dockerfile,
            one.line,
            run.started,
            run.ended,
            run.is_cached,
            one.is_emulated,
            run.bytes,
            run.error,
            one.inputs,
            one.bake,
        )


def _refuse_newer(path: Path, data: bytes) -> None:
    """Raise where the first line says so, whatever else that version has in it."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        written = msgspec.json.decode(data.partition(b"\n")[0], type=_Versioned).format
        if written > _FORMAT:
            raise EngineError(
                f"{path} is of a newer version of buildx-tasks (format {written}); install that "
                "(pip install --upgrade buildx-tasks), or move the file away"
            )


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder that are records, oldest first."""
    with suppress(FileNotFoundError):
        return sorted(p for p in folder.iterdir() if p.suffix == ".jsonl" and _ID.fullmatch(p.stem))
    return []


def _make_room(folder: Path) -> None:
    """Remove the oldest records, so that another one has room."""
    kept, room = 0, _ALL - _LARGEST
    for path in reversed(_files(folder)):
        with suppress(FileNotFoundError):
            kept, room = kept + 1, room - path.lstat().st_size
            if kept >= MOST or room < 0:
                path.unlink()
