"""What we make on engines in; what a killed process left there out, by its id.

An image can say any label, and a container has its image's: ours is only what is written down here,
in a folder of the user's own. Each process has a file, locked while it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import msgspec

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, own_folder, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_HOURS = 24  # another machine's process, whose lock may not be seen here, is dead after that
_FOLDER = "sessions"
_NAME = re.compile("[0-9a-f]{32}")


class Made(msgspec.Struct, omit_defaults=True):
    """One thing on an engine: its id is known once it is there, its name before."""

    kind: str
    name: str
    id: str = ""
    kept: bool = False


class _Origin(msgspec.Struct):
    project: str
    host: str


class Origin(NamedTuple):
    """An engine, and what time it was there (seconds since 1970) before anything was made."""

    engine: str
    began: float


class _Line(msgspec.Struct, omit_defaults=True):
    origin: Optional[_Origin] = None  # noqa: UP045 - msgspec reads it on Python 3.9, too
    engine: Optional[tuple[str, float]] = None  # noqa: UP045 - msgspec reads it on Python 3.9, too
    made: Optional[Made] = None  # noqa: UP045 - msgspec reads it on Python 3.9, too


class Record:
    """What one process makes on an engine; several threads may write it."""

    def __init__(self, path: Path, stream: Any, project: str) -> None:
        self.id = path.name
        self.project = project
        self.engine = Origin("", 0)
        self.host = socket.gethostname()
        self._path = path
        self._stream = stream
        self._known: dict[str, Made] = {}
        self._guard = threading.Lock()  # guards what was made, and the file

    @classmethod
    def begun(cls, project: Path) -> Record:
        """Return a new one, whose process lives until it is closed.

        Raises:
            EngineError: it cannot be written.

        """
        place, name = state_folder() / _FOLDER, uuid.uuid4().hex
        new = place / f".{name}"
        with writing(place):
            own_folder(place.parent)
            own_folder(place)
            stream = os.fdopen(open_own(new, os.O_RDWR | os.O_CREAT | os.O_EXCL), "r+b", 0)
            # Nobody looks at it before it is locked: it has no name yet.
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            record = cls(place / name, stream, str(project))
            record._write(_Line(origin=_Origin(record.project, record.host)))
            new.rename(place / name)
        return record

    def at(self, engine: Origin) -> None:
        """Take note of which engine it is: once, before anything is made there."""
        if not self.engine.engine:
            self.engine = engine
            self._write(_Line(engine=(engine.engine, engine.began)))

    def making(self, kind: str, name: str) -> str:
        """Take note of what is about to be made, and return its name, which must be a random one."""
        self._note(Made(kind, name))
        return name

    def made(self, name: str, id_: str) -> None:
        """Take note of the id of what was announced under a name."""
        known = self._known[name]
        self._note(Made(known.kind, name, id_))

    def keep(self, id_: str, name: str) -> None:
        """Take note that a container stays, under a new name, until a person removes it."""
        self._note(Made("container", name, id_, kept=True))

    def things(self, kind: str) -> list[Made]:
        """Return what was made of a kind."""
        with self._guard:
            return [one for one in self._known.values() if one.kind == kind]

    def find(self, kind: str, id_: str, name: str, created: float) -> Made | None:
        """Return what a thing that is on the engine was made as; None where it is not ours."""
        if created < int(self.engine.began):
            return None
        for one in self.things(kind):
            if one.id == id_ or (not one.id and one.name == name):
                return one
        return None

    def close(self, *, forget: bool) -> None:
        """End it; ``forget`` where nothing is left of what it names."""
        if forget:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._stream.close()

    def read(self) -> Record:
        """Take over what the file says; return the record itself."""
        for text in self._stream.read().splitlines():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # torn by its end
                line = msgspec.json.decode(text, type=_Line)
                if line.origin:
                    self.project, self.host = line.origin.project, line.origin.host
                if line.engine:
                    self.engine = Origin(*line.engine)
                if line.made:
                    self._put(line.made)
        return self

    def _note(self, made: Made) -> None:
        with self._guard:
            self._put(made)
            self._write(_Line(made=made))

    def _put(self, made: Made) -> None:
        for name in [n for n, one in self._known.items() if one.id == made.id != ""]:
            del self._known[name]  # it has got another name
        self._known[made.name] = made

    def _write(self, line: _Line) -> None:
        # Closed, there is none who would read it.
        with writing(self._path):
            if not self._stream.closed:
                self._stream.write(msgspec.json.encode(line) + b"\n")


def state_folder() -> Path:
    """Return where what we remember of this user is.

    Raises:
        EngineError: there is no place for it.

    """
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise EngineError("there is no home folder; set XDG_STATE_HOME") from None
    return state / "buildx-tasks"


def left() -> Iterator[Record]:
    """Give the records of processes that ended without removing everything, each locked.

    Raises:
        EngineError: the folder is another user's.

    """
    for path in _paths():
        with _opened(path) as stream, contextlib.suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # another sweep was quicker
                continue
            record = Record(path, stream, "").read()
            age = time.time() - path.stat().st_mtime
            if record.host == socket.gethostname() or age > _MOST_HOURS * 3600:
                yield record


def of_project(project: Path) -> list[Record]:
    """Return all records of a project, of processes that live too: only to be read."""
    found = []
    for path in _paths():
        with _opened(path) as stream:
            record = Record(path, stream, "").read()
            if record.project == str(project):
                found.append(record)
    return found


def _paths() -> list[Path]:
    place = state_folder() / _FOLDER
    if not place.exists():
        return []
    own_folder(place.parent)
    own_folder(place)
    return [path for path in place.iterdir() if _NAME.fullmatch(path.name)]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        stream = os.fdopen(open_own(path, os.O_RDWR), "r+b", 0)
    except FileNotFoundError:  # ended meanwhile
        stream = open(os.devnull, "r+b", 0)  # noqa: PTH123, SIM115 - closed below
    with stream:
        yield stream
