"""Altered versions of the photos that training sees: of nothing that is held out, and for nobody but training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.config import RunSettings
from core.domain import Catalogue
from core.encode import load_encoder
from core.encode.bank import MediaBank
from core.encode.states import States
from core.errors import SettingsError
from core.evaluate.splits import Split
from core.features import Features, contents_of, encoder_name
from core.prepare.views import encoded_views
from core.rank import reads
from core.train.build import training_data
from core.train.data import TrainingData

OnStep = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """photos: states of every photo, by row; versions: row of a training photo -> the states of its versions."""

    photos: Sequence[States]
    versions: Mapping[int, Sequence[States]]

    @classmethod
    def of(
        cls, catalogue: Catalogue, settings: RunSettings, features: Features, split: Split, vectors: Path,
        on_step: OnStep,
    ) -> Views | None:  # fmt: skip
        """None where none are asked for. Raises SettingsError where there are no photos that training could alter."""
        if not settings.views:
            return None
        digests = features.keys.get("image", ())
        if reads(settings) != "vectors" or not digests:
            why = f"{settings.rank} aligns no photos" if reads(settings) != "vectors" else "no photos came to alter"
            raise SettingsError(f"views is {settings.views}, but {why}. Set it to 0")
        files, _ = contents_of(catalogue, catalogue.interactions, "image")
        rows = training_data(catalogue, features, split).trained_media("image")
        made = encoded_views(
            {digests[row]: files[digests[row]] for row in rows}, settings.views, settings.seed,
            load_encoder("image", encoder_name(settings, "image")), vectors,
            lambda done, of: on_step("encoding altered photos", done / of),
        )  # fmt: skip
        return cls(photos=features.states["image"], versions={row: made[digests[row]] for row in rows})

    def prepare(self, data: TrainingData) -> TrainingData:
        """The same data, the versions of the photos it trains on behind all photos in their bank."""
        states, views = list(self.photos), {}
        for row in data.trained_media("image"):
            views[row] = tuple(range(len(states), len(states) + len(self.versions[row])))
            states += self.versions[row]
        return replace(data, banks={**data.banks, "image": MediaBank(states, data.banks["image"].width)}, views=views)
