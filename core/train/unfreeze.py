"""Fine-tuning the last blocks of the text encoder: they become part of the run, in a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.config import RunSettings
from core.domain import Catalogue
from core.encode import load_encoder
from core.encode.states import States
from core.encode.tail import Below, Tail, TunedBank
from core.encode.text import TextEncoder, tuned_name
from core.errors import SettingsError
from core.features import Features, catalogue_features
from core.pipeline import TUNED_TEXT
from core.rank import reads
from core.train.data import TrainingData

OnStep = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Unfrozen:
    """What fine-tuning stands on: the encoder, and of every text the states that enter the blocks to be trained."""

    encoder: TextEncoder
    count: int
    hidden: Sequence[States]

    @classmethod
    def of(cls, catalogue: Catalogue, settings: RunSettings, vectors: Path, on_step: OnStep) -> Unfrozen | None:
        """None where nothing is to be fine-tuned. Raises SettingsError where the texts came as a feature matrix, where
        the ranker looks at none, or where the encoder has not so many blocks."""
        if not settings.unfreeze:
            return None
        if reads(settings) != "vectors" or "text" in catalogue.features:
            why = f"{settings.rank} looks at no words" if reads(settings) != "vectors" else "the words came as a matrix"
            raise SettingsError(f"unfreeze is {settings.unfreeze}, but {why}: nothing can be fine-tuned. Set it to 0")
        encoder = load_encoder("text", settings.text_encoder)
        assert isinstance(encoder, TextEncoder)
        below = Below(encoder, settings.unfreeze)
        found = catalogue_features(
            catalogue, settings, vectors, modalities=("text",), encoders={"text": below}, on_step=on_step
        )  # fmt: skip
        return cls(encoder=encoder, count=settings.unfreeze, hidden=found.states["text"])

    def prepare(self, data: TrainingData) -> TrainingData:
        """The same data, the words of which are led through blocks that learn."""
        bank = TunedBank(self.hidden, data.banks["text"], Tail(self.encoder, self.count))
        return replace(data, banks={**data.banks, "text": bank})


def tuned_features(
    catalogue: Catalogue, settings: RunSettings, vectors: Path, out: Path, on_step: OnStep
) -> Features:  # fmt: skip
    """Everything once more, the words through the blocks that were just written into `out`."""
    tuned = replace(settings, text_encoder=tuned_name(settings.text_encoder, out / TUNED_TEXT))
    return catalogue_features(catalogue, tuned, vectors, on_step=on_step)
