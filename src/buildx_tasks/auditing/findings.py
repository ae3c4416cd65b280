"""What was found of one platform, or of an index, in; the same as a run of SARIF, out.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.machine.version import __version__
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from buildx_tasks.verification.results import CellResult

_RULES = {
    "image": "The image can be read",
    "content": "Manifest, config and layers are there, and are what is said of them",
    "platform": "The config is for the platform that the index says",
    "programs": "Programs and libraries are the platform's, and find their interpreter",
    "setuid": "Nothing is setuid or setgid but what distributions have so",
    "platforms": "No manifest is for two platforms",
    "attached": "Signatures, verdicts and files that are attached are whole, and about that manifest",
    "attestations": "What is attested is well formed, and of the digest that it says",
}


def told(result: CellResult, reference: str) -> CellResult:
    """Return a result whose first check carries all findings of it as one run."""
    if not result.checks:
        return result
    found = [
        {
            "ruleId": check.name,
            "level": "error",
            "message": {"text": printable(problem)},
            "locations": [
                {
                    "physicalLocation": {"artifactLocation": {"uri": f"oci://{reference}"}},
                    "logicalLocations": [{"fullyQualifiedName": result.id}],
                }
            ],
        }
        for check in result.checks
        if check.status == "FAIL"
        for problem in check.problems
    ]
    names = dict.fromkeys(check.name for check in result.checks)
    rules = [
        {"id": name, "shortDescription": {"text": _RULES.get(name, f"[verify] {name}")}}
        for name in names
    ]
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "buildx-tasks", "version": __version__, "rules": rules}},
        "results": found,
    }
    first, *rest = result.checks
    return result._replace(checks=(first._replace(sarif=(*first.sarif, run)), *rest))
