"""A plan and what a run fixes in; what all runners of the run hold to, out: parts, and a hash of each."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks import references
from buildx_tasks.errors import UsageError
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.cells import reference_of, shortened
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.references import Reference

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_UNLIKE = ("secret", "ssh")  # a fork's runner may lack what is optional
_OWN_HOSTS = ".invalid"  # by which steps with and without a secret are told apart


class Fixed(NamedTuple):
    """What is fixed once for a run: its id, the commit (``""`` without git), seconds since 1970.

    ``lock`` is the SHA-256 (hex) of ``buildx.lock``, ``""`` where there is none.
    """

    id: str
    commit: str
    epoch: str
    lock: str = ""


class TargetRun(NamedTuple):
    """One target of a run: ``hash`` (hex) stands for all that its parts are made and judged by.

    ``staging`` is the repository in which the parts wait; its tag has no meaning.
    """

    target: TargetPlan
    staging: Reference
    hash: str


class Run(NamedTuple):
    """What all runners of a run hold to: each works it out for itself, and no two may differ."""

    fixed: Fixed
    targets: tuple[TargetRun, ...]


def require_id(text: str) -> str:
    """Return the id of a run.

    Raises:
        UsageError: it is none.

    """
    if not text:
        raise UsageError("--id is missing; write what all jobs of a run share, as in --id 4711")
    if not _ID.fullmatch(text):
        raise UsageError(
            f'--id: "{text}" is no id of a run; write 1 to 40 letters, digits, _ . or -, as in 4711'
        )
    return text


def run_of(plan: Plan, fixed: Fixed) -> Run:
    """Return the run of the selected targets that leave images, each with all declared platforms.

    Raises:
        UsageError: none does, or one has no tags.

    """
    targets = [target._replace(platforms=target.declared) for target in plan.images]
    if not targets:
        raise UsageError("nothing selected leaves an image to join; select another target with -t")
    return Run(fixed, tuple(_target_run(plan, target, fixed) for target in targets))


def part_tag(run: str, target: str, platform: Platform) -> str:
    """Return the tag under which a part waits: ``part-RUN-TARGET-OS-ARCH``."""
    return shortened("-".join(("part", run, target, *filter(None, platform))))


def _target_run(plan: Plan, target: TargetPlan, fixed: Fixed) -> TargetRun:
    first = references.parse(reference_of(target))
    staging = plan.config.ci.staging
    place = references.parse(staging) if staging else first
    alone = make_plan(plan.config, [target.name])
    judged = [msgspec.to_builtins(target.spec.verify), list(map(str, target.declared))]
    whole = [_alike(bake_definition(alone, caches=False)), judged, target.spec.tags, fixed]
    data = msgspec.json.encode(whole, order="deterministic")
    return TargetRun(target, place, hashlib.sha256(data).hexdigest())


def _alike(definition: dict[str, Any]) -> dict[str, Any]:
    """Return what is built, without what differs between runners that build the same."""
    found = {}
    for name, attributes in definition["target"].items():
        kept = {key: value for key, value in attributes.items() if key not in _UNLIKE}
        hosts = attributes.get("extra-hosts", {})
        kept["extra-hosts"] = {k: v for k, v in hosts.items() if not k.endswith(_OWN_HOSTS)}
        found[name] = kept
    return found
