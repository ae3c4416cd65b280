"""Types are learned once, whatever threads ask for them first."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: what is tested is that it does not crash, as it does without `learned`.
PROGRAM = """
import sys, threading
from typing import Optional, Union
import msgspec
from buildx_tasks.machine.learning import learned
sys.setswitchinterval(1e-6)

def made():
    class A(msgspec.Struct):
        a: int = 0
        b: Optional[str] = None
    class B(msgspec.Struct):
        x: list[A] = []
        z: Union[int, str, None] = None
    class C(msgspec.Struct):
        p: B
        s: dict[str, list[B]] = {}
    return C

def decode(kind, barrier):
    barrier.wait()
    msgspec.json.decode(b'{"p": {"x": [{"a": 1}]}}', type=learned(kind))

for _ in range(60):
    kind, barrier = made(), threading.Barrier(6)
    threads = [threading.Thread(target=decode, args=(kind, barrier)) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
print("done")
"""


def test_threads_that_decode_a_type_first_at_once_do_not_crash() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
