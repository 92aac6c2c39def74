"""What machine this is, how fast it is right now, and whether somebody else is using it."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil

NAMED = ("torch", "transformers", "timm", "sentence-transformers", "numpy", "pillow", "streamlit", "tokenizers")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Rates at one moment: flops of a matrix product and bytes a second of a long sum; both on all threads."""

    flops: float
    read: float

    def drift(self, later: Probe) -> float:
        """Largest relative change of a rate; .1 means ten percent."""
        pairs = ((self.flops, later.flops), (self.read, later.read))
        return max(abs(b / a - 1.0) for a, b in pairs)


def probe(side: int = 1024, megabytes: int = 64) -> Probe:
    """Best of five of each, about half a second."""
    a = np.random.default_rng(0).random((side, side), dtype=np.float32)
    long = np.ones(megabytes * 1024 * 1024 // 4, dtype=np.float32)
    product = min(timed(lambda: a @ a) for _ in range(5))
    total = min(timed(lambda: long.sum()) for _ in range(5))
    return Probe(flops=2 * side**3 / product, read=long.nbytes / total)


def timed(work: object) -> float:
    begin = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begin


def stolen() -> float:
    """Seconds that the host has taken from this machine's cores since it started; 0 where that is not told."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def busy(seconds: float = 3.0) -> tuple[float, str]:
    """Share of the cores in use by others over a few seconds, and the process that uses most."""
    others = {p.pid: p for p in psutil.process_iter(["name"]) if p.pid != os.getpid()}
    for process in list(others.values()):
        _used(process)
    share = psutil.cpu_percent(seconds) / 100
    loads = {pid: _used(process) for pid, process in others.items()}
    top = max(loads, key=lambda pid: loads[pid], default=0)
    return share, f"{others[top].info['name']} ({loads[top]:.0f} %)" if loads.get(top) else ""


def _used(process: psutil.Process) -> float:
    try:
        return float(process.cpu_percent())
    except psutil.Error:
        return 0.0


def describe(threads: int) -> dict[str, object]:
    """Everything a reader needs to place the numbers, and nothing that names the machine or its owner."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": threads,
        "versions": {name: version for name in NAMED if (version := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def as_json(value: Probe) -> dict[str, float]:
    return {name: round(rate / 1e9, 2) for name, rate in asdict(value).items()}
