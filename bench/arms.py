"""One process an arm, because imports, allocators and thread pools of one library must not reach the other.

The process reads lines on standard input and answers with lines of JSON on the pipe that was standard output; whatever
a library prints goes to standard error. Results for the comparison travel as .npz without pickle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Size

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measurement: seconds of each run in it by the wall and by the CPU of the process (and its children)."""

    wall: tuple[float, ...]
    cpu: float

    def total(self, clock: str) -> float:
        return self.cpu if clock == "cpu" else sum(self.wall)


class Inline:
    """An arm in this very process: for the smoke run, where nothing is timed."""

    def __init__(self, arm: Arm) -> None:
        self.arm, self.label = arm, arm.label

    def measure(self, step: int, repeat: int) -> Measure:
        return _measure(self.arm, step, repeat)[0]

    def outcome(self, step: int) -> Outcome:
        return self.arm.outcome(self.arm.run(self.arm.prepare(step)))

    def close(self) -> None:
        return None


class Worker:
    """An arm in a process of its own."""

    def __init__(self, case_id: str, name: str, size: Size, clock: str, python: str = "") -> None:
        """python: another interpreter than ours, for a peer that lives in an environment of its own."""
        settings = dict(os.environ) | _thread_settings(size.threads)
        command = [
            python or sys.executable,
            "-m",
            "bench.arms",
            case_id,
            name,
            str(size.threads),
            clock,
            str(int(size.smoke)),
        ]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.label: str = self._answer()["label"]

    def measure(self, step: int, repeat: int) -> Measure:
        told = self._ask({"do": "measure", "step": step, "repeat": repeat})
        return Measure(wall=tuple(told["wall"]), cpu=told["cpu"])

    def outcome(self, step: int) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "outcome.npz"
            self._ask({"do": "outcome", "step": step, "file": str(file)})
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(question) + "\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("an arm ended before it answered; what it printed stands above")
        return json.loads(line)


def _thread_settings(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | {
        "OMP_WAIT_POLICY": "passive",
        "KMP_BLOCKTIME": "0",
        "TOKENIZERS_PARALLELISM": "true",
        "HF_HUB_OFFLINE": "1",
    }


def _measure(arm: Arm, step: int, repeat: int) -> tuple[Measure, Any]:
    given = [arm.prepare(step * repeat + at) for at in range(repeat)]
    walls, result, before = [], None, _cpu_seconds()
    for one in given:
        begin = time.perf_counter()
        result = arm.run(one)
        walls.append(time.perf_counter() - begin)
    return Measure(wall=tuple(walls), cpu=_cpu_seconds() - before), result


def _cpu_seconds() -> float:
    """Of this process and of the children it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def save(file: Path, outcome: Outcome) -> None:
    arrays: dict[str, Any] = dict(outcome)
    np.savez(file, **arrays)


def serve(case_id: str, name: str, size: Size, clock: str) -> None:
    """The other end of `Worker`."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if clock == "cpu" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from bench.cases import build

    arm = build(case_id, size).arm(name)
    answers.write(json.dumps({"label": arm.label}) + "\n")
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "measure":
            measure, _ = _measure(arm, question["step"], question["repeat"])
            answers.write(json.dumps({"wall": measure.wall, "cpu": measure.cpu}) + "\n")
        else:
            save(Path(question["file"]), arm.outcome(arm.run(arm.prepare(question["step"]))))
            answers.write("{}\n")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], Size(threads=int(sys.argv[3]), smoke=sys.argv[5] == "1"), sys.argv[4])
