"""python -m sample_data.train [RUN] [--world FOLDER --out FOLDER] [--home DIR]: a bundled run again; same machine,
versions and threads, same weights. `studio-default` learned words and photos, `studio-senses` all four modalities,
`studio-cleaned` words and photos with every cleaning step on that changes what is learned; it is then told against
`studio-default`, on the same users and queries. `support-default` learned the support replies. --world: another
world of the generator instead of the bundled one. --report: nothing is trained or drawn; the space of the map that
ships with the run is measured again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from core.catalog.clean import STEPS
from core.catalog.folder import read_folder
from core.config import SAMPLE, RunSettings, home_folder
from core.domain import with_interval
from core.jobs.bar import Bar
from core.mapping.make import renew_report
from core.train import train_run
from core.workspace import BUNDLED_CATALOGUE, BUNDLED_RUN, Workspace

CLEANED_RUN, SUPPORT_RUN = "studio-cleaned", "support-default"
CLEANING = ",".join(name for name, step in STEPS.items() if step.does and step.reads != "words")
RUNS = {
    BUNDLED_RUN: RunSettings(modalities="text,image"),
    "studio-senses": RunSettings(),
    CLEANED_RUN: RunSettings(modalities="text,image", clean=CLEANING),
    SUPPORT_RUN: RunSettings(catalogue="support", protocol="label", rank="content", epochs=40, width=96, kept=96),
}
TOLD = (("users", "ndcg@10"), ("cold review+photo", "mrr"), ("cold review", "mrr"), ("cold photo", "mrr"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run", nargs="?", choices=RUNS, default=BUNDLED_RUN)
    options.add_argument("--world", type=Path, help="a folder of the generator, say of another seed")
    options.add_argument("--out", type=Path, help="where the run is written (default: beside the sample)")
    options.add_argument("--home", type=Path, default=home_folder(), help="where encoded media are kept")
    options.add_argument("--report", action="store_true", help="only the numbers and worst pairs of its map")
    asked = options.parse_args()
    if asked.world and not asked.out:
        options.error("--world needs --out: the bundled runs are of the bundled world")
    workspace, bar = Workspace.open(asked.home), Bar(sys.stderr)
    if asked.report:
        print(renew_report(workspace, asked.run, SAMPLE / "runs" / asked.run))
        return
    settings = RUNS[asked.run]
    world = read_folder(asked.world, BUNDLED_CATALOGUE)[0] if asked.world else workspace.catalogue(settings.catalogue)
    out = asked.out or SAMPLE / "runs" / asked.run
    record = train_run(
        world, settings, out, vectors=workspace.vectors,
        on_step=lambda label, fraction, figures: bar.show(label, fraction, None),
    )  # fmt: skip
    bar.close()
    print(f"{record.run}: best epoch {record.best_epoch} of {record.epochs}, {record.seconds:.0f} s")
    print("\n".join(held_out(out, "warm" if asked.run == SUPPORT_RUN else "cold")))
    if asked.run == CLEANED_RUN and not asked.out:
        print("\n".join(compared(workspace)))


def held_out(run: Path, products: str) -> list[str]:
    """How a held-out review and photo find their product, and what that is above either alone. cold: no training saw
    the product."""
    from core.evaluate.significance import bootstrap, paired
    from core.evaluate.vectors import MEASURED, unpack

    measured = unpack((run / MEASURED).read_bytes())
    whole, photo, words = (measured[f"test {products} {kind}"] for kind in ("review+photo", "photo", "review"))
    lines = []
    for metric in ("recall@1", "recall@3", "recall@10", "mrr"):
        ours, groups = of_metric(whole, metric), list(whole.groups)
        value = bootstrap(ours, groups)
        parts = [f"{products} {metric}: {with_interval(value)}"]
        for name, alone in (("photo", photo), ("words", words)):
            theirs = of_metric(alone, metric)
            d = paired(ours, theirs, groups).difference
            parts.append(f"{name} {np.mean(theirs):.3f}, fused above it by {with_interval(d, '+.3f')}")
        lines.append("; ".join(parts))
    return lines


def of_metric(measured: Any, metric: str) -> np.ndarray:
    """(Q,) values; the reciprocal rank tells any recall that is not kept."""
    if metric in measured.values:
        return measured.values[metric]
    return (measured.values["mrr"] >= 1 / int(metric.removeprefix("recall@")) - 1e-9).astype(float)


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
            f"{with_interval(d, '+.4f')}, p {test.p:.4f}, {len(shared)} asked of both"
        )
    return lines


if __name__ == "__main__":
    main()
