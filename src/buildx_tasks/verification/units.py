"""What is verified: cells and whole images as units, each with its checks and the hash of these.

The hash decides what is not run again: it holds all that a verdict depends on, besides the image.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import msgspec

from buildx_tasks.errors import EngineError, as_called
from buildx_tasks.planning.cells import Cell
from buildx_tasks.records import ledger
from buildx_tasks.verification import check as checks
from buildx_tasks.verification.check import RUNNING
from buildx_tasks.verification.results import CellResult, CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.images.image import Image
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Check


_EDITION = 1  # of the checks: raised where they find what they did not, so that all run again


class Unit(NamedTuple):
    """One cell, or one whole image (``platform`` None), with what is expected of it."""

    target: TargetPlan
    image: Image
    platform: Platform | None
    checks: tuple[Check, ...]
    hash: str

    @property
    def digest(self) -> str:
        """The digest of the platform's manifest (of the index); ``""`` where the image lacks it."""
        if self.platform is None:
            return self.image.digest
        return self.image.manifests.get(self.platform, "")

    @property
    def id(self) -> str:
        """As a result's id."""
        return f"{self.target.name}@{self.platform}" if self.platform else self.target.name

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of check that are carried out."""
        return frozenset(check.kind for check in self.checks if not check.skip)

    def result(self, found: Sequence[CheckResult], **more: Any) -> CellResult:
        """Return what was found as this unit's result."""
        named = [one._replace(problems=tuple(map(as_called, one.problems))) for one in found]
        return CellResult(self.target.name, self.platform, self.digest, tuple(named), **more)


def units(
    targets: Sequence[TargetPlan],
    root: Path,
    locate: Callable[[TargetPlan], Image],
    pushed: Mapping[str, Sequence[str]],
) -> list[Unit]:
    """Return all cells of the targets, each target's whole image after them where it has checks.

    ``pushed`` maps targets to the digests that were pushed, the last one at the end.

    Raises:
        EngineError: an image is not built, or a mounted file cannot be read.

    """
    found = []
    read = Mounted(root)
    for target in targets:
        image = locate(target)
        expected = target.spec.verify
        tag = target.spec.tags[0]
        # Its own push is none that it grew from: what passed before it is not verified again.
        others = (one for one in reversed(pushed.get(target.name, ())) if one != image.digest)
        last = next(others, "")
        for cell in target.cells:
            listed = checks.of_cell(expected, cell, tag, root) if expected else ()
            context = context_of(listed, target, image, cell.platform, last)
            found.append(Unit(target, image, cell.platform, listed, hash_of(listed, read, context)))
        whole = checks.of_whole(expected) if expected else ()
        if image.is_part:
            built = ", ".join(str(platform) for platform in image.manifests)
            reason = f"only {built} was built: run invoke build -t {target.name} for the whole"
            whole = tuple(check._replace(skip=reason) for check in whole)
        if whole:
            context = context_of(whole, target, image, None, last)
            found.append(Unit(target, image, None, whole, hash_of(whole, read, context)))
    return found


def context_of(
    listed: Sequence[Check],
    target: TargetPlan,
    image: Image,
    platform: Platform | None,
    pushed: str,
) -> list[Any]:
    """Return what the checks' verdict depends on, besides the image with its digest and themselves."""
    kinds = {check.kind for check in listed}
    context: list[Any] = [target.name]
    if "index" in kinds:
        attest = target.spec.attributes.get("attest", [])
        context.append([sorted(map(str, target.declared)), attest])
    if "config" in kinds and platform:
        # Those on the descriptor are in the index, not in the platform's manifest.
        context.append(dict(image.annotations.get(platform, {})))
    if any(check.kind == "size" and check.spec.growth is not None for check in listed):
        context.append(pushed)
    return context


def running_cells(listed: Sequence[Unit], known: Mapping[tuple[str, str], str]) -> list[Cell]:
    """Return the cells whose programs will run: those need an emulator where they are foreign."""
    return [
        Cell(unit.target.name, unit.platform)
        for unit in unsettled(listed, known)
        if unit.platform and unit.kinds & RUNNING
    ]


def hash_of(listed: Sequence[Check], mounted: Mounted, context: Sequence[Any] = ()) -> str:
    """Return the hash of expectations (hex): equal hashes find the same in the same image.

    The content of mounted files counts, and the edition of the checks.
    """
    plain = [(c.name, c.kind, msgspec.to_builtins(c.spec), c.skip, c.xfail) for c in listed]
    sources = {
        mount.source: mounted.hash(mount.source)
        for check in listed
        for mount in getattr(check.spec, "mounts", ())
    }
    whole = [_EDITION, plain, sorted(sources.items()), context]
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()


class Mounted:
    """Hashes of what is mounted from the project; each file is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, str] = {}

    def hash(self, source: str) -> str:
        """Return the hash of a file or a folder with all that is in it; links are not followed.

        Raises:
            EngineError: something in it cannot be read.

        """
        if source not in self._known:
            path = self._root / source
            try:
                inside = path.resolve().is_relative_to(self._root.resolve())
                # What is outside is refused by the check itself.
                self._known[source] = _hash_of_files(path, self._root) if inside else "outside"
            except (OSError, RuntimeError) as error:
                raise EngineError(f"{path} cannot be read: {error}; allow it") from None
        return self._known[source]


def _hash_of_files(path: Path, root: Path) -> str:
    digest = hashlib.sha256()
    if not path.exists():
        digest.update(b"nothing")
    elif path.is_file():
        _feed(digest, path, path.resolve())
    for folder, folders, files in os.walk(path.resolve()):
        if folder == str(root.resolve()):
            folders[:] = [name for name in folders if name != ledger.FOLDER]
        folders.sort()
        for name in (*folders, *sorted(files)):
            _feed(digest, path, Path(folder, name))
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, top: Path, path: Path) -> None:
    mode = path.lstat().st_mode
    name = os.path.relpath(path, top)
    leads = os.readlink(path) if stat.S_ISLNK(mode) else ""  # noqa: PTH115 - as it is written
    digest.update(f"{name}\0{mode:o}\0{leads}\0".encode("utf-8", "surrogateescape"))
    if stat.S_ISREG(mode):
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)


def unsettled(listed: Sequence[Unit], known: Mapping[tuple[str, str], str]) -> list[Unit]:
    """Return what is left to look at."""
    done = {unit.id for unit, _ in settled(listed, known)}
    return [unit for unit in listed if unit.id not in done]


def settled(
    listed: Sequence[Unit], known: Mapping[tuple[str, str], str]
) -> Iterator[tuple[Unit, str]]:
    """Give what needs no work, with when it was verified (``""``: there is nothing to check)."""
    for unit in listed:
        if not unit.checks and unit.digest:
            yield unit, ""
        elif unit.digest and (unit.digest, unit.hash) in known:
            since = known[unit.digest, unit.hash]
            if _is_fresh(unit, since):
                yield unit, since


def _is_fresh(unit: Unit, since: str) -> bool:
    """Say whether a verdict still holds: one of a command may be for some hours only."""
    hours = [one.spec.hours for one in unit.checks if one.kind == "command" and one.spec.hours]
    if not hours:
        return True
    age = dt.datetime.now(dt.timezone.utc) - dt.datetime.fromisoformat(since)
    return age < dt.timedelta(hours=min(hours))
