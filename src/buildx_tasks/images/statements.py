"""What checks said of a platform's image in; an in-toto statement of it out, and back again. No I/O.

Source: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import json
from typing import Any, Literal, NamedTuple, Optional

import msgspec

from buildx_tasks.errors import RegistryError
from buildx_tasks.images.artifacts import Artifact, artifact
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.machine.learning import learned
from buildx_tasks.registry.manifests import Descriptor, is_deep
from buildx_tasks.text import printable

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
TYPE = "application/vnd.in-toto+json"
MOST = 1 << 20  # bytes of a statement that is read

Result = Literal["PASSED", "WARNED", "FAILED"]


class Verdict(NamedTuple):
    """What was found of one cell.

    ``passed``, ``warned`` (known to fail, and declared so) and ``failed`` are names of checks;
    ``expected`` is the SHA-256 (hex) of what was expected, ``native`` says that no emulator ran it.
    """

    cell: str
    passed: tuple[str, ...]
    warned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    expected: str = ""
    native: bool = True

    @property
    def result(self) -> Result:
        """The result of all, in the words of the predicate."""
        return "FAILED" if self.failed else "WARNED" if self.warned else "PASSED"


class Read(NamedTuple):
    """A verdict as somebody published it: ``subjects`` are the digests that it is of."""

    subjects: tuple[str, ...]
    result: Result
    passed: tuple[str, ...]
    warned: tuple[str, ...]
    failed: tuple[str, ...]


class _Subject(msgspec.Struct):
    digest: dict[str, str]


class _Predicate(msgspec.Struct, rename="camel"):
    result: Result
    configuration: list[Any]
    passed_tests: Optional[list[str]] = None
    warned_tests: Optional[list[str]] = None
    failed_tests: Optional[list[str]] = None


class _Head(msgspec.Struct):
    kind: str = msgspec.field(name="_type")
    predicate: str = msgspec.field(name="predicateType")


class _Statement(msgspec.Struct):
    subject: list[_Subject]
    predicate: _Predicate


def written(verdict: Verdict, subject: Descriptor) -> Artifact:
    """Return a verdict of the manifest ``subject`` as what is attached to it.

    It holds no time and no version: the same verdict of the same manifest is the same artifact.
    """
    target = verdict.cell.partition("@")[0]
    expectations: dict[str, Any] = {
        "name": f"[target.{target}.verify]",
        "annotations": {"ran": _how(verdict)},
    }
    if verdict.expected:
        expectations["digest"] = {"sha256": verdict.expected}
    algorithm, _, digest = subject.digest.partition(":")
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": verdict.cell, "digest": {algorithm: digest}}],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": verdict.result,
            "configuration": [expectations],
            "passedTests": list(verdict.passed),
            "warnedTests": list(verdict.warned),
            "failedTests": list(verdict.failed),
        },
    }
    data = json.dumps(statement, separators=(",", ":"), sort_keys=True).encode()
    return artifact(TYPE, data, subject, {PREDICATE: TEST_RESULT})


def _how(verdict: Verdict) -> str:
    if "@" in verdict.cell and "@linux/" not in verdict.cell:
        return "not run"
    return "native" if verdict.native else "emulated"


def read(data: bytes, what: str) -> Optional[Read]:
    """Return the verdict that a statement holds; None where it is a statement of another kind.

    Raises:
        RegistryError: it is no statement, or says what no verdict says.

    """
    try:
        if len(data) > MOST or is_deep(data):
            raise _unreadable(what, "it is too large or too deep")
        head = msgspec.json.decode(data, type=learned(_Head))
        if head.kind != STATEMENT:
            raise _unreadable(what, f'its type is "{printable(head.kind[:80])}"')
        if head.predicate != TEST_RESULT:
            return None
        found = msgspec.json.decode(data, type=learned(_Statement))
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unreadable(what, printable(str(error))) from None
    said = found.predicate
    return Read(
        tuple(f"{name}:{text}" for one in found.subject for name, text in one.digest.items()),
        said.result,
        tuple(said.passed_tests or ()),
        tuple(said.warned_tests or ()),
        tuple(said.failed_tests or ()),
    )


def told(verdict: Read) -> str:
    """Return a verdict for people, as in ``PASSED: run, binaries``."""
    words = [
        f"{kind}{', '.join(names)}"
        for kind, names in (
            ("", verdict.passed),
            ("known to fail: ", verdict.warned),
            ("failed: ", verdict.failed),
        )
        if names
    ]
    return f"{verdict.result}: {'; '.join(words)}" if words else verdict.result


def _unreadable(what: str, why: str) -> RegistryError:
    return RegistryError(f"{what} is no in-toto statement that can be read: {why}")
