"""Figures of every epoch where others can read them while the training goes on: a page, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.files import write_atomic

CURVES = "curves.jsonl"
EVENTS = "tensorboard"


class Curves:
    """Writes `curves.jsonl` (one row an epoch) and TensorBoard event files into the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._events: Any = None

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *_: object) -> None:
        if self._events is not None:
            self._events.close()

    def write(self, rows: Sequence[Mapping[str, float]]) -> None:
        """All rows so far; the last one is new. After a resumption the epochs that were lost are purged."""
        write_atomic(self.folder / CURVES, "".join(json.dumps(row) + "\n" for row in rows).encode())
        epoch = int(rows[-1]["epoch"])
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(self.folder / EVENTS), purge_step=epoch)
        for name, value in rows[-1].items():
            if name not in ("epoch", "kept"):
                self._events.add_scalar(name.replace("@", "_at_"), value, epoch)
        self._events.flush()
