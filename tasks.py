"""The tasks of this repo: the same line that a user's repo has."""

from buildx_tasks import namespace

__all__ = ["namespace"]
