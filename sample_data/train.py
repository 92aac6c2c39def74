"""python -m sample_data.train [--home DIR]: the bundled run again; same machine, versions and threads, same weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import SAMPLE, RunSettings, home_folder
from core.jobs.bar import Bar
from core.train import train_run
from core.workspace import BUNDLED_CATALOGUE, BUNDLED_RUN, Workspace


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, default=home_folder(), help="where encoded media are kept")
    workspace, bar = Workspace.open(options.parse_args().home), Bar(sys.stderr)
    record = train_run(
        workspace.catalogue(BUNDLED_CATALOGUE), RunSettings(), SAMPLE / "runs" / BUNDLED_RUN,
        vectors=workspace.vectors, on_step=lambda label, fraction, figures: bar.show(label, fraction, None),
    )  # fmt: skip
    bar.close()
    print(f"{record.run}: best epoch {record.best_epoch} of {record.epochs}, {record.seconds:.0f} s")


if __name__ == "__main__":
    main()
