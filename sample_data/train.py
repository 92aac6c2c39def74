"""python -m sample_data.train [--cleaned] [--home DIR]: a bundled run again; same machine, versions and threads, same
weights. --cleaned: `studio-cleaned`, the same settings on the catalogue with every cleaning step on that changes what
is learned; it is then told against `studio-default`, on the same users and queries."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from core.catalog.clean import STEPS
from core.config import SAMPLE, RunSettings, home_folder
from core.jobs.bar import Bar
from core.train import train_run
from core.workspace import BUNDLED_CATALOGUE, BUNDLED_RUN, Workspace

CLEANED_RUN = "studio-cleaned"
CLEANING = ",".join(name for name, step in STEPS.items() if step.does and step.reads != "words")
TOLD = (("users", "ndcg@10"), ("cold review+photo", "mrr"), ("cold review", "mrr"), ("cold photo", "mrr"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, default=home_folder(), help="where encoded media are kept")
    options.add_argument("--cleaned", action="store_true", help=f"{CLEANED_RUN}, on data that were cleaned: {CLEANING}")
    asked = options.parse_args()
    workspace, bar = Workspace.open(asked.home), Bar(sys.stderr)
    run, settings = (CLEANED_RUN, RunSettings(clean=CLEANING)) if asked.cleaned else (BUNDLED_RUN, RunSettings())
    record = train_run(
        workspace.catalogue(BUNDLED_CATALOGUE), settings, SAMPLE / "runs" / run, vectors=workspace.vectors,
        on_step=lambda label, fraction, figures: bar.show(label, fraction, None),
    )  # fmt: skip
    bar.close()
    print(f"{record.run}: best epoch {record.best_epoch} of {record.epochs}, {record.seconds:.0f} s")
    if asked.cleaned:
        print("\n".join(compared(workspace)))


def compared(workspace: Workspace) -> list[str]:
    """One line a figure: the cleaned run's, the other's, the paired difference with its interval, and p.

    Values are of what both were asked for; the steps may take queries away, and those count for neither.
    """
    from core.evaluate.leaderboard import entry
    from core.evaluate.significance import paired

    both = [entry(workspace, run) for run in (CLEANED_RUN, BUNDLED_RUN)]
    lines = []
    for subject, metric in TOLD:
        tables = [one.measured.get(f"test {subject}") if one else None for one in both]
        if tables[0] is None or tables[1] is None:
            continue
        place = [{name: row for row, name in enumerate(table.ids)} for table in tables if table]
        shared = [name for name in tables[1].ids if name in place[0]]
        ours, theirs = (
            table.values[metric][[at[name] for name in shared]]
            for table, at in zip(tables, place, strict=True)
            if table
        )
        group = dict(zip(tables[1].ids, tables[1].groups, strict=True))
        test = paired(ours, theirs, [group[name] for name in shared])
        d = test.difference
        lines.append(
            f"{subject} {metric}: {np.nanmean(ours):.4f} against {np.nanmean(theirs):.4f}, "
            f"{d.value:+.4f} [{d.low:+.4f} {d.high:+.4f}], p {test.p:.4f}, {len(shared)} asked of both"
        )
    return lines


if __name__ == "__main__":
    main()
