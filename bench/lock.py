"""requirements-lock.txt: every package that requirements.txt brings, with version and sha256: python -m bench.lock

Versions are those of the environment this runs in, hashes those that the package index gives. Installed by
`pip install --no-deps --require-hashes -r requirements-lock.txt`; for the system and Python it was made on.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def wanted() -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def closure() -> dict[str, str]:
    """Name -> version of everything that is installed because of requirements.txt."""
    found: dict[str, str] = {}
    todo = [(one, one.extras) for one in wanted()]
    while todo:
        one, extras = todo.pop()
        name = canonicalize_name(one.name)
        try:
            there = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:  # such as CUDA libraries beside a CPU build
            continue
        if name in found and not extras:
            continue
        found[name] = there.version.split("+")[0]
        for line in there.requires or ():
            need = Requirement(line)
            here = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))
            if here and canonicalize_name(need.name) not in found:
                todo.append((need, need.extras))
    return dict(sorted(found.items()))


def hashes(pins: dict[str, str]) -> dict[str, str]:
    """Name -> sha256 of the file that pip would install here."""
    with tempfile.TemporaryDirectory() as place:
        listed, report = Path(place) / "pins.txt", Path(place) / "report.json"
        listed.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--dry-run", "--ignore-installed",
                   "--report", str(report), "-r", str(listed)]  # fmt: skip
        subprocess.run(command, check=True)
        told = json.loads(report.read_text("utf-8"))["install"]
    return {
        canonicalize_name(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"]
        for one in told
    }


def main() -> None:
    pins = closure()
    known = hashes(pins)
    lines = [
        f"# Made by python -m bench.lock on {platform.system()} {platform.machine()}, Python {sys.version_info.major}."
        f"{sys.version_info.minor}; CUDA libraries are not in it.",
        "# pip install --no-deps --require-hashes -r requirements-lock.txt",
    ]
    for name, version in pins.items():
        assert re.fullmatch(r"[0-9a-f]{64}", known[name])
        lines += [f"{name}=={version} \\", f"    --hash=sha256:{known[name]}"]
    (ROOT / "requirements-lock.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(pins)} packages")


if __name__ == "__main__":
    main()
