"""A whole catalogue as states: every text, photo, sound and clip encoded once, through the one reader and the
content-addressed store; feature matrices as they came."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.parts import READ, Reader
from core.catalog.words import sentences
from core.config import RunSettings
from core.domain import MODALITIES, Catalogue, FeatureMatrix, Interaction, Item, Modality
from core.encode import ENCODERS, load_encoder
from core.encode.cache import VectorStore, encode_cached
from core.encode.states import States
from core.errors import InputError, SettingsError
from core.files import digest_bytes, read_verified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.encode.bank import MediaBank

OnStep = Callable[[str, float], None]
Media = Mapping[Modality, tuple[int, ...]]
TOLD: Mapping[Modality, str] = {"text": "words", "image": "photos", "audio": "sounds", "video": "clips"}


@dataclass(frozen=True, kw_only=True)
class Features:
    """Encoded media of a catalogue. states: modality -> one States a medium; items, interactions: which media (row
    numbers) each has; encoded: how many were not in the store yet; widths: own width of each encoder; encoders: its
    fingerprint, or that of the matrix that came in its place; keys: sha256 of the content behind each of the states,
    of those that an encoder made."""

    states: Mapping[Modality, Sequence[States]]
    items: tuple[Media, ...]
    interactions: tuple[Media, ...]
    widths: Mapping[Modality, int]
    encoded: int
    encoders: Mapping[Modality, str] = field(default_factory=dict)
    keys: Mapping[Modality, Sequence[str]] = field(default_factory=dict)

    def bank(self, modality: Modality) -> MediaBank:
        from core.encode.bank import MediaBank

        return MediaBank(self.states[modality], self.widths[modality])


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One modality of a catalogue; items, rows: the media of each item and of each interaction."""

    states: Sequence[States]
    items: Sequence[tuple[int, ...]]
    rows: Sequence[tuple[int, ...]]
    width: int
    fingerprint: str
    fresh: int = 0
    keys: Sequence[str] = ()


def mean_states(states: Sequence[States], things: Iterable[tuple[int, ...]]) -> NDArray[np.float64]:
    """(n, E): what the encoder says of each thing, the mean over its media; things: rows of `states`, at least one."""
    import numpy as np

    return np.stack([np.mean([states[at].pooled for at in rows], axis=0, dtype=np.float64) for rows in things])


def encode_catalogue(catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None) -> int:
    """Encodes what the store does not hold yet with the default encoders; returns how many media that were."""
    return catalogue_features(catalogue, RunSettings(), vectors, on_step=on_step).encoded


def catalogue_features(
    catalogue: Catalogue,
    settings: RunSettings,
    vectors: Path,
    *,
    interactions: bool = True,
    modalities: Sequence[Modality] | None = None,
    encoders: Mapping[Modality, Any] | None = None,
    on_step: OnStep | None = None,
) -> Features:
    """States of all media of the items, and of reviews and customer photos unless `interactions` is False.

    modalities: those to give, by default those of the catalogue. encoders: loaded ones to use instead of loading those
    of the settings. A medium that cannot be read is left out. A feature matrix is one token an item; what is written in
    a review cannot be compared with it and is left out, unless the matrix says that this very encoder made it.
    """
    tell = on_step or (lambda label, fraction: None)
    rows: Sequence[Interaction] = catalogue.interactions if interactions else ()
    there = modalities_of(catalogue)
    wanted = tuple(modalities or (m for m in there if m in (settings.chosen or there)))
    if not wanted:
        raise SettingsError(f"{catalogue.name} has {', '.join(there)}, not {settings.modalities}. Choose one of those")
    parts: dict[Modality, _Part] = {}
    for number, modality in enumerate(wanted):

        def tell_part(done: int, of: int, number: int = number, modality: Modality = modality) -> None:
            tell(f"encoding {TOLD[modality]}", (number + done / of) / len(wanted))

        matrix, given = catalogue.features.get(modality), (encoders or {}).get(modality)
        if matrix is not None and not matrix.encoder:
            parts[modality] = _ready_made(catalogue, matrix, len(rows))
            continue
        encoder = given or load_encoder(modality, encoder_name(settings, modality))
        parts[modality] = _encoded(catalogue, rows, modality, encoder, vectors, tell_part)
        if matrix is not None:
            parts[modality] = _beside(_ready_made(catalogue, matrix, len(rows)), parts[modality])
    tell("encoded", 1.0)
    return Features(
        states={m: part.states for m, part in parts.items()},
        items=tuple({m: part.items[row] for m, part in parts.items()} for row in range(len(catalogue.items))),
        interactions=tuple({m: part.rows[row] for m, part in parts.items()} for row in range(len(rows))),
        widths={m: part.width for m, part in parts.items()},
        encoded=sum(part.fresh for part in parts.values()),
        encoders={m: part.fingerprint for m, part in parts.items()},
        keys={m: part.keys for m, part in parts.items() if part.keys},
    )


def without_media(catalogue: Catalogue) -> Features:
    """Nothing of any item or interaction: for rankers that know ids only. No encoder is loaded."""
    items: tuple[Media, ...] = ({},) * len(catalogue.items)
    rows: tuple[Media, ...] = ({},) * len(catalogue.interactions)
    return Features(states={}, items=items, interactions=rows, widths={}, encoded=0)


def modalities_of(catalogue: Catalogue) -> tuple[Modality, ...]:
    """The modalities that a run of this catalogue can learn from: those of a matrix, and those that any item or
    interaction has and that can be encoded. Text where there is none: a catalogue of ids."""
    things: tuple[Item | Interaction, ...] = (*catalogue.items, *catalogue.interactions)
    found = {m for m in ENCODERS if any(parts_of(thing, m) for thing in things)} | set(catalogue.features)
    return tuple(m for m in MODALITIES if m in found) or ("text",)


def _ready_made(catalogue: Catalogue, matrix: FeatureMatrix, rows: int) -> _Part:
    """A matrix as one token an item. Its unit is changed by a power of two where half precision could not hold it."""
    import numpy as np

    values = matrix_values(catalogue, matrix)  # (N, E)
    there = ~np.isnan(values[:, 0])
    largest = float(np.abs(values[there]).max(initial=0.0))
    if not matrix.encoder and largest > 0:
        values = np.ldexp(values, -math.frexp(largest)[1])  # largest value in [.5, 1)
    half = values[there].astype(np.float16)
    place = np.cumsum(there) - 1
    return _Part(
        states=[States(tokens=row[None], pooled=row) for row in half],
        items=[(int(at),) if has else () for at, has in zip(place, there, strict=True)],
        rows=[()] * rows,
        width=matrix.width,
        fingerprint=matrix.fingerprint,
    )


def matrix_values(catalogue: Catalogue, matrix: FeatureMatrix) -> NDArray[np.float32]:
    """The vectors as they came, (N, width); a row of NaN where an item has none. Raises ModelError E-MODEL-SUM."""
    import numpy as np

    return np.load(io.BytesIO(read_verified(catalogue.root / matrix.path, matrix.digest)), allow_pickle=False)


def _beside(made: _Part, encoded: _Part) -> _Part:
    """The items of a matrix beside the interactions that the same encoder made. Raises SettingsError otherwise."""
    if made.fingerprint != encoded.fingerprint:
        raise SettingsError(
            f"the feature matrix was made by {made.fingerprint}, and {encoded.fingerprint} is chosen; vectors of two "
            "encoders cannot be compared. Choose the encoder of the matrix"
        )
    shift = len(made.states)
    rows = [tuple(shift + place for place in places) for places in encoded.rows]
    return replace(made, states=[*made.states, *encoded.states], rows=rows, fresh=encoded.fresh)


def _encoded(
    catalogue: Catalogue,
    rows: Sequence[Interaction],
    modality: Modality,
    encoder: Any,
    vectors: Path,
    tell: Callable[[int, int], None],
) -> _Part:
    """Everything of one modality through its encoder and the store."""
    contents, keys = contents_of(catalogue, rows, modality)
    store = VectorStore(vectors, encoder.fingerprint)
    found, fresh = encode_cached(
        store, contents, encoder.encode if modality == "text" else media_encoder(encoder, READ[modality]), tell
    )
    kept = {key: state for key, state in found.items() if len(state.tokens)}
    place = {key: at for at, key in enumerate(kept)}

    def media(thing: Item | Interaction) -> tuple[int, ...]:
        named = dict.fromkeys(keys[part] for part in parts_of(thing, modality) if part in keys)
        return tuple(place[key] for key in named if key in place)

    return _Part(
        states=list(kept.values()),
        items=[media(item) for item in catalogue.items],
        rows=[media(row) for row in rows],
        width=encoder.width,
        fingerprint=encoder.fingerprint,
        fresh=fresh,
        keys=tuple(kept),
    )


def encoder_name(settings: RunSettings, modality: Modality) -> str:
    return str(getattr(settings, f"{modality}_encoder"))


def parts_of(thing: Item | Interaction, modality: Modality) -> tuple[str, ...]:
    """The sentences, or the paths of media, that a row has in a modality."""
    if modality == "text":
        return tuple(sentences(thing.text)) if thing.text else ()
    return thing.media.get(modality, ())


def contents_of(
    catalogue: Catalogue, rows: Iterable[Interaction], modality: Modality
) -> tuple[dict[str, Any], dict[str, str]]:
    """sha256 -> content to encode (a sentence, or the path of a file), and sentence or path -> sha256."""
    contents: dict[str, Any] = {}
    keys: dict[str, str] = {}
    things: Iterable[Item | Interaction] = (*catalogue.items, *rows)
    for thing in things:
        for part in parts_of(thing, modality):
            if part in keys:
                continue
            if modality == "text":
                keys[part] = digest_bytes(part.encode("utf-8", "replace"))
                contents[keys[part]] = part
            elif (catalogue.root / part).is_file():
                keys[part] = digest_bytes((catalogue.root / part).read_bytes())
                contents[keys[part]] = catalogue.root / part
    return contents, keys


def media_encoder(encoder: Any, read: Reader) -> Callable[[list[Path]], list[States]]:
    """Reads and encodes media files. An unreadable one gets no tokens at all: it counts as absent."""

    def encode(paths: list[Path]) -> list[States]:
        media, readable = [], []
        for path in paths:
            try:
                media.append(read(path.read_bytes(), path.name)[0])
                readable.append(True)
            except InputError:
                readable.append(False)
        states = iter(encoder.encode(media))
        return [next(states) if good else nothing(encoder.width) for good in readable]

    return encode


def nothing(width: int) -> States:
    import numpy as np

    return States(tokens=np.zeros((0, width), np.float16), pooled=np.zeros(width, np.float16))
