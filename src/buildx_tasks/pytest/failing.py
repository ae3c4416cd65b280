"""Our errors in; a test that fails at its own line, without a traceback of ours, out."""

from __future__ import annotations

import pytest

from buildx_tasks.engine import faults
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.errors import BuildxTasksError, as_called


class said_plainly:  # noqa: N801 - used as a function is
    """Turn our errors and the engine's into a failure of the test, at the test's own line."""

    def __init__(self, *, trace: bool = True) -> None:
        self._trace = trace

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Fail the test with what the error says."""
        __tracebackhide__ = True
        if isinstance(error, (BuildxTasksError, RefusedError)):
            raise _failure(str(error), trace=self._trace) from None
        if isinstance(error, Exception) and isinstance(error, faults.all_errors()):
            text = f"the engine failed: {faults.words_of(error)}; see invoke doctor"
            raise _failure(text, trace=self._trace) from None


def _failure(text: str, *, trace: bool) -> BaseException:
    return pytest.fail.Exception(as_called(text), pytrace=trace)
