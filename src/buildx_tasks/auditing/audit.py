"""Images in a registry in; what each platform of them is found to be, without running it, out."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildx_tasks.auditing import artifacts, attested, behind, defaults, findings
from buildx_tasks.auditing.attached import Attachments
from buildx_tasks.auditing.attested import Attested
from buildx_tasks.auditing.declared import Declared, Wanted
from buildx_tasks.auditing.places import held
from buildx_tasks.auditing.reading import Layers
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.images import index, merged
from buildx_tasks.machine.version import __version__
from buildx_tasks.planning.cells import Cell
from buildx_tasks.verification import check as checks
from buildx_tasks.verification.check import Check, Found
from buildx_tasks.verification.checks import index as indexes
from buildx_tasks.verification.results import CellResult, CheckResult, Report
from buildx_tasks.verification.unit_checks import result_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.auditing.defaults import Allowed
    from buildx_tasks.auditing.places import Held, Part, Place
    from buildx_tasks.auditing.reading import Layer
    from buildx_tasks.images.merged import Files
    from buildx_tasks.language.auditing import Audit
    from buildx_tasks.language.lockfile import Pin
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.verification.verify import Watcher


_LOCK = "lock"
_AT_ONCE = 4  # images whose manifests are read


class Subject(NamedTuple):
    """One image to be audited: ``name`` is what results call it.

    ``platforms`` are those that are wanted, none for all. ``target`` declares it, where one does.
    ``root`` is its index where that was read before, ``fault`` why it could not be. ``is_asked`` says
    that a person named the platforms: one that is not there is a mistake then, and no finding.
    """

    name: str
    place: Place
    platforms: tuple[Platform, ...] = ()
    target: TargetPlan | None = None
    root: Manifest | None = None
    fault: str = ""
    is_asked: bool = False


class Options(NamedTuple):
    """How an audit goes about it: ``jobs`` is how many layers at once, 0 for what suits.

    ``allowed`` is what is in images on purpose, ``pins`` are those of ``buildx.lock``, ``root`` is the
    project's folder, ``said`` what it says of audits. ``runner`` runs what was looked at; without one
    nothing is.
    """

    jobs: int
    allowed: Allowed
    pins: Mapping[str, Pin]
    root: Path = Path()
    runner: Runs | None = None
    said: Audit | None = None


class Runs(Protocol):
    """Runs one platform of an image."""

    def results(
        self,
        name: str,
        image: Held,
        part: Part,
        declared: tuple[TargetPlan | None, Sequence[Check]],
    ) -> list[CheckResult]:
        """Return what was found of what is ``declared``: a target, if any, and its checks."""


class Looked(NamedTuple):
    """A subject that was looked up: ``image`` is None where there is none.

    ``parts`` are what is wanted of it, ``lacking`` the platforms that it does not have.
    """

    subject: Subject
    image: Held | None = None
    parts: tuple[Part, ...] = ()
    lacking: tuple[Platform, ...] = ()

    @property
    def has_whole(self) -> bool:
        """Whether something is to be said of the index."""
        target = self.subject.target
        image = self.image
        return bool(image and (image.is_index or image.kind or (target and _of_index(target))))

    @property
    def number(self) -> int:
        """How many results there will be."""
        return len(self.parts) + len(self.lacking) + self.has_whole if self.image else 1


def looked_up(subjects: Sequence[Subject]) -> list[Looked]:
    """Return what registries say of subjects: indexes, manifests, configs; no layer is read.

    Raises:
        UsageError: one is not for a platform that a person asked for.

    """
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(_looked_up, subjects))
    finally:
        pool.shutdown(cancel_futures=True)


def audit(listed: Sequence[Looked], options: Options, watcher: Watcher) -> Report:
    """Audit images one after another, the layers of each several at once."""
    began, at = time.monotonic(), dt.datetime.now(dt.timezone.utc)
    results = []
    for one in listed:
        for result in _results(one, options, watcher):
            watcher.ended(result)
            results.append(findings.told(result, one.subject.place.name))
    return Report(
        at.isoformat(timespec="seconds"),
        time.monotonic() - began,
        tuple(results),
        {"buildx-tasks": __version__},
    )


def notes(report: Report) -> Iterator[str]:
    """Yield what nothing fails for, and a person should know: that a published image has older bases."""
    for result in report.results:
        for check in result.checks:
            if check.name == _LOCK:
                yield from (f"{result.id}: {fact}" for fact in check.facts if behind.MOVED in fact)


def _looked_up(subject: Subject) -> Looked:
    if subject.fault:
        return Looked(subject)
    wanted = subject.platforms if subject.is_asked else ()
    try:
        image = held(subject.place, wanted, subject.root)
    except (EngineError, RegistryError) as error:
        return Looked(subject._replace(fault=str(error)))
    there = [one.platform for one in image.parts]
    wanted = subject.platforms
    return Looked(
        subject,
        image,
        tuple(one for one in image.parts if not wanted or one.platform in wanted),
        tuple(platform for platform in wanted if platform not in there),
    )


def _of_index(target: TargetPlan) -> tuple[Check, ...]:
    return checks.of_whole(target.spec.verify) if target.spec.verify else ()


def _results(one: Looked, options: Options, watcher: Watcher) -> Iterator[CellResult]:
    subject, image = one.subject, one.image
    if image is None:
        failed = CheckResult("image", "index", "FAIL", problems=(subject.fault,))
        yield CellResult(subject.name, None, "", (failed,))
        return
    root = options.root
    expected = {part.platform: _expected(subject, part.platform, root) for part in one.parts}
    texts = Wanted(check for listed in expected.values() for check in listed)
    digests = [image.root.digest, *(part.digest for part in one.parts)]
    listed = Attachments(subject.place, digests)
    with listed, Layers(subject.place, options.jobs, texts) as layers:
        for number, part in enumerate(one.parts):
            began = time.monotonic()
            name = f"{subject.name} {image.version_of(part)}".rstrip()
            watcher.started(f"{name}@{part.platform}")
            found = _of_part(image, part, layers, (expected[part.platform], options))
            found += tuple(_attached(listed, part.digest))
            if not image.is_index:
                found += tuple(_lock((subject, image), options, Attested((), (), {})))
            found = _run(one, part, (expected[part.platform], options), found)
            yield CellResult(name, part.platform, part.digest, found, time.monotonic() - began)
            layers.keep(one.parts[number + 1 :])
        for platform in one.lacking:
            yield _lacking(one.subject, platform)
        if one.has_whole:
            watcher.started(subject.name)
            began = time.monotonic()
            found = tuple(_of_whole(subject, image, options, listed))
            yield CellResult(subject.name, None, image.root.digest, found, time.monotonic() - began)


def _expected(subject: Subject, platform: Platform, root: Path) -> tuple[Check, ...]:
    """Return what a target declares of a platform."""
    target = subject.target
    if target is None or target.spec.verify is None:
        return ()
    cell, verify = Cell(target.name, platform), target.spec.verify
    return checks.of_cell(verify, cell, target.spec.tags[0], root)


def _of_part(
    image: Held, part: Part, reading: Layers, expected: tuple[Sequence[Check], Options]
) -> tuple[CheckResult, ...]:
    declared, options = expected
    layers = reading.of(part)
    files = _files(part, layers)
    kinds = {check.kind for check in declared}
    results = [
        _result("content", "index", defaults.content(part, layers, files)),
        _result("platform", "config", defaults.platform(part, files)),
    ]
    if files is None:
        reason = "a layer of it could not be read" if layers else "its layers are not known"
        results.append(CheckResult("programs", "binaries", "skip", reason=reason))
        results.append(CheckResult("setuid", "files", "skip", reason=reason))
    else:
        if "binaries" not in kinds:
            found = defaults.programs(part, files, options.allowed)
            results.append(_result("programs", "binaries", found))
        results.append(_result("setuid", "files", defaults.privileged(files, options.allowed)))
    return (*results, *Declared(image, part, layers, reading).results(declared, files))


def _attached(listed: Attachments, digest: str) -> Iterator[CheckResult]:
    """Yield what is found of what is attached to a manifest, if anything is."""
    try:
        found = listed.of(digest)
    except (EngineError, RegistryError) as error:
        found = Found((str(error),))
    if found:
        yield _result("attached", "index", found)


def _run(
    one: Looked,
    part: Part,
    expected: tuple[Sequence[Check], Options],
    found: tuple[CheckResult, ...],
) -> tuple[CheckResult, ...]:
    """Return what was found with what its run finds, in place of what was skipped for want of one."""
    declared, options = expected
    if options.runner is None or one.image is None:
        return found
    if found[0].status == "FAIL":  # content
        return found
    target = one.subject.target
    ran = options.runner.results(one.subject.name, one.image, part, (target, declared))
    new = {check.name: check for check in ran}
    # A check of the audit's own keeps its place, whatever a declared one is called.
    kept = [
        new.pop(one.name) if one.name in new and new[one.name].kind == one.kind else one
        for one in found
    ]
    return (*kept, *new.values())


def _files(part: Part, layers: Sequence[Layer]) -> Files | None:
    """Return what a container sees; None where a layer could not be read."""
    if part.manifest is None or part.config is None or any(one.fault for one in layers):
        return None
    return merged.merged([one.contents.members for one in layers if one.contents])


def _lacking(subject: Subject, platform: Platform) -> CellResult:
    target = subject.target
    again = f"; run invoke build push -t {target.name}" if target else ""
    if target and platform in target.spec.optional:
        reason = target.spec.optional[platform]
        skipped = CheckResult("content", "index", "skip", reason=f"not in it: {reason}")
        return CellResult(subject.name, platform, "", (skipped,))
    problem = f"{subject.place.name} has no {platform}, which is built{again}"
    failed = CheckResult("content", "index", "FAIL", problems=(problem,))
    return CellResult(subject.name, platform, "", (failed,))


def _of_whole(
    subject: Subject, image: Held, options: Options, listed: Attachments
) -> Iterator[CheckResult]:
    """Yield what is found of an index: what it lists, what attests that, what a target says of it."""
    if image.kind:
        yield _result("content", "index", artifacts.content(image))
        yield from _attached(listed, image.root.digest)
        return
    yield _result("platforms", "index", _listed(image))
    found = attested.attested(image, {one.digest: str(one.platform) for one in image.parts})
    if image.attesting:
        yield _result("attestations", "index", Found(found.problems, found.facts))
    if image.is_index:
        yield from _lock((subject, image), options, found)
        yield from _attached(listed, image.root.digest)
    if subject.target:
        yield from _declared_of_index(subject.target, image)


def _listed(image: Held) -> Found:
    """Say whether an index names a manifest, or a platform, more than once."""
    problems, facts = [], []
    owners: dict[str, Platform] = {}
    for part in image.parts:
        other = owners.setdefault(part.digest, part.platform)
        if other != part.platform:
            problems.append(
                f"{part.platform} and {other} are one manifest, {part.digest}: it can be for one of "
                "them only; a FROM --platform= in the last stage does that"
            )
    names = Counter(f"{part.platform} {image.version_of(part)}".rstrip() for part in image.parts)
    facts += [f"{name} is there {n} times" for name, n in names.items() if n > 1]
    if image.is_nested:
        facts.append("it lists indexes in turn, which not every engine looks into")
    there = ", ".join(names)
    return Found(tuple(problems), (there, *facts))


def _lock(one: tuple[Subject, Held], options: Options, found: Attested) -> Iterator[CheckResult]:
    """Yield which of the bases that it was built on the lock has moved on from."""
    subject, image = one
    bases = {name: one for listed in found.bases.values() for name, one in listed.items()}
    said = behind.behind(image, bases, options.pins, options.said if subject.target else None)
    if said:
        yield _result(_LOCK, "index", said)


def _declared_of_index(target: TargetPlan, image: Held) -> Iterator[CheckResult]:
    source = image.place.source
    for check in _of_index(target):
        if check.skip:
            yield CheckResult(check.name, check.kind, "skip", reason=check.skip)
            continue
        try:
            if image.is_index:
                every = [(one, True) for one in image.root.content.manifests]
                entries = index.attested(source, every)
            else:
                entries = tuple(
                    index.Entry(p.platform, p.digest, available=True) for p in image.parts
                )
        except (EngineError, RegistryError) as error:
            yield result_of(check, Found((str(error),)), 0.0)
            continue
        of_index = image.root.content.marks if image.is_index else {}
        of_manifests = {
            part.platform: {**part.manifest.content.marks, **part.descriptor.marks}
            for part in image.parts
            if part.manifest
        }
        marks = indexes.Marks(partial(dict, of_index), partial(dict, of_manifests))
        yield result_of(check, indexes.compare(target, entries, marks, check.spec), 0.0)


def _result(name: str, kind: str, found: Found) -> CheckResult:
    return result_of(Check(name, kind, None), found, 0.0)
