"""Training: from a catalogue and settings to a run folder that rebuilds the model."""

from core.train.grid import finished
from core.train.run import RunRecord, train_run

__all__ = ["RunRecord", "finished", "train_run"]
