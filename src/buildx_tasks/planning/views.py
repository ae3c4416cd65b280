"""A plan → what people and other programs read: a table, JSON, a matrix of a CI system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.language.merging import as_csv
from buildx_tasks.language.targets import links
from buildx_tasks.planning import helpers
from buildx_tasks.planning.bakefile import selected_platforms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.planning.cells import Selected

# GitHub's runners by the architecture that they run natively.
# Source: https://docs.github.com/en/actions/reference/runners/github-hosted-runners
_RUNNER = "ubuntu-24.04"
_RUNNERS = {"arm64": "ubuntu-24.04-arm", "arm": "ubuntu-24.04-arm"}

HEADINGS = ("cell", "tags", "output", "push", "builds on")


def summary(plan: Selected, ways: Mapping[str, str]) -> dict[str, Any]:
    """Return the plan as JSON data: builder, targets, and the cells by name.

    ``ways`` maps each target that can be pushed to the way it takes.
    """
    builder = plan.config.builder
    return {
        "builder": builder and {"name": builder.name, "driver": builder.driver},
        "targets": [
            {
                "name": target.name,
                "platforms": [str(platform) for platform in target.platforms],
                "tags": target.tags,
                "labels": target.spec.attributes.get("labels", {}),
                "image": target.is_image,
                "output": target.spec.output,
                "push": ways.get(target.name),
                "description": target.spec.description,
                "helpers": helpers.described(target.spec, target.name, selected_platforms(target)),
            }
            for target in plan.targets
        ],
        "linked": [target.name for target in plan.linked],
        "cells": [str(cell) for target in plan.targets for cell in target.cells],
    }


def rows(plan: Selected, ways: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the plan as rows for people: each cell's name, tags, exports, way to be pushed, bases."""
    found: list[tuple[str, ...]] = []
    for target in plan.targets:
        helping = helpers.described(target.spec, target.name, selected_platforms(target))
        exports = "; ".join(as_csv("output", e) or e["type"] for e in target.spec.output)
        push = ways.get(target.name, "-")
        store = "registry, staged" if push == "staged" else "image store"
        base = ", ".join(dict.fromkeys(links(target.spec).values()))
        tags = ", ".join(target.tags) or "-"
        found += [(str(cell), tags, exports or store, push, base) for cell in target.cells]
        found += [(f"  {name}", "-", "helper", "-", words) for name, words in helping.items()]
    return found


def github_matrix(plan: Selected) -> dict[str, list[dict[str, str]]]:
    """Return the plan's cells as a matrix of GitHub Actions, each with the runner that is native."""
    return {
        "include": [
            {
                "target": cell.target,
                "platform": str(cell.platform),
                "runner": _RUNNERS.get(cell.platform.architecture, _RUNNER),
            }
            for target in plan.targets
            for cell in target.cells
        ]
    }
