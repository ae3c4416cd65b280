"""The jobs of a run in; the file of GitLab that makes a child pipeline of them, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.planning.jobs import REPORT, check_of
from buildx_tasks.planning.pipelines import ENGINE, IMAGE, SERVICE
from buildx_tasks.planning.preparing import install, typed
from buildx_tasks.starting.lines import items, mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.planning.jobs import Jobs

FILE = ".gitlab/images.yml"
ROOT = ".gitlab-ci.yml"  # a person's own, where it is there
INCLUDED = f"include: {FILE}"

_TEXT = """\

# Merge requests publish nothing: all platforms on one runner, emulated where they must be.
check-images:
  stage: test
  image: {image}
  services: [{service}]
  variables:
{variables}  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  script:
{check}  artifacts:
    when: always
    reports: {{ junit: {report} }}

# Says what there is to do, and fixes for all jobs what git says.
plan-images:
  stage: build
  image: {image}
  variables: {{ GIT_DEPTH: "0" }}
  rules: &published
    - if: $CI_COMMIT_TAG || $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
{plan}  artifacts:
    paths: [images.yml]

# Parts on native runners, level by level, then join and release notes; reports are in its jobs.
images:
  stage: deploy
  needs: [plan-images]
  rules: *published
  trigger:
    include: [{{ artifact: images.yml, job: plan-images }}]
    strategy: depend
"""


def files(found: Jobs, flags: Sequence[str]) -> dict[str, str]:
    """Return the file, and one that includes it; ``flags`` go to each command."""
    begun = install(found.plan, "gitlab")
    # A plan that is made again is a run of its own: what the first one left is no part of it.
    planned = f'{typed("plan", *flags)} --id "$CI_PIPELINE_ID-$CI_JOB_ID" --format gitlab'
    check = check_of(flags, "--junit", REPORT)
    text = _TEXT.format(
        image=IMAGE,
        service=SERVICE,
        variables=mapping({"GIT_DEPTH": "0", **ENGINE}, 4),
        report=REPORT,
        check=items([begun, check], 4),
        # Written beside the clone: what git does not know in it would be a change.
        plan=items([begun, f"{planned} > ../images.yml", "mv ../images.yml ."], 4),
    )
    return {FILE: text, ROOT: f"{INCLUDED}\n"}
