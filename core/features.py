"""A whole catalogue encoded: every text and photo once, through the one reader and the content-addressed store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.photos import read_image
from core.config import RunSettings
from core.domain import Catalogue, Interaction, Item, Modality
from core.encode import load_encoder
from core.encode.cache import VectorStore, encode_cached
from core.encode.states import States
from core.errors import PhotoError

if TYPE_CHECKING:
    from core.encode.bank import MediaBank

OnStep = Callable[[str, float], None]
Media = Mapping[Modality, tuple[int, ...]]
CHECKED: tuple[Modality, ...] = ("text", "image")  # modalities that can be encoded so far


@dataclass(frozen=True, kw_only=True)
class Features:
    """Encoded media of a catalogue. states: modality -> one States a medium; items, interactions: which media (row
    numbers) each has; encoded: how many were not in the store yet; widths: own width of each encoder."""

    states: Mapping[Modality, Sequence[States]]
    items: tuple[Media, ...]
    interactions: tuple[Media, ...]
    widths: Mapping[Modality, int]
    encoded: int

    def bank(self, modality: Modality) -> MediaBank:
        from core.encode.bank import MediaBank

        return MediaBank(self.states[modality], self.widths[modality])


def encode_catalogue(catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None) -> int:
    """Encodes what the store does not hold yet with the default encoders; returns how many media that were."""
    return catalogue_features(catalogue, RunSettings(), vectors, on_step=on_step).encoded


def catalogue_features(
    catalogue: Catalogue,
    settings: RunSettings,
    vectors: Path,
    *,
    interactions: bool = True,
    encoders: Mapping[Modality, Any] | None = None,
    on_step: OnStep | None = None,
) -> Features:
    """States of all media of the items, and of reviews and customer photos unless `interactions` is False.

    encoders: loaded ones to use instead of loading those of the settings. A photo that cannot be read is left out.
    """
    tell = on_step or (lambda label, fraction: None)
    rows: Sequence[Interaction] = catalogue.interactions if interactions else ()
    states: dict[Modality, list[States]] = {}
    places: dict[Modality, dict[str, int]] = {}
    widths, encoded, texts = {}, 0, {}
    for number, modality in enumerate(CHECKED):
        encoder = (encoders or {}).get(modality) or load_encoder(modality, encoder_name(settings, modality))
        contents, texts[modality] = contents_of(catalogue, rows, modality)
        store = VectorStore(vectors, encoder.fingerprint)
        told = f"encoding {'words' if modality == 'text' else 'photos'}"

        def tell_part(done: int, of: int, told: str = told, number: int = number) -> None:
            tell(told, (number + done / of) / len(CHECKED))

        found, fresh = encode_cached(
            store,
            contents,
            encoder.encode if modality == "text" else photo_encoder(encoder),
            tell_part,
        )
        kept = {key: state for key, state in found.items() if len(state.tokens)}
        places[modality] = {key: place for place, key in enumerate(kept)}
        states[modality], widths[modality] = list(kept.values()), encoder.width
        encoded += fresh
    tell("encoded", 1.0)

    def media(thing: Item | Interaction) -> Media:
        keys = {m: [texts[m][part] for part in parts_of(thing, m) if part in texts[m]] for m in CHECKED}
        return {m: tuple(places[m][key] for key in dict.fromkeys(k) if key in places[m]) for m, k in keys.items()}

    return Features(
        states=states,
        items=tuple(media(item) for item in catalogue.items),
        interactions=tuple(media(row) for row in rows),
        widths=widths,
        encoded=encoded,
    )


def encoder_name(settings: RunSettings, modality: Modality) -> str:
    return {"text": settings.text_encoder, "image": settings.image_encoder}[modality]


def parts_of(thing: Item | Interaction, modality: Modality) -> tuple[str, ...]:
    """Texts themselves, or the paths of media, that a row has in a modality."""
    if modality == "text":
        return (thing.text,) if thing.text else ()
    return thing.media.get(modality, ())


def contents_of(
    catalogue: Catalogue, rows: Iterable[Interaction], modality: Modality
) -> tuple[dict[str, Any], dict[str, str]]:
    """sha256 -> content to encode (a text, or the path of a file), and text or path -> sha256."""
    contents: dict[str, Any] = {}
    keys: dict[str, str] = {}
    things: Iterable[Item | Interaction] = (*catalogue.items, *rows)
    for thing in things:
        for part in parts_of(thing, modality):
            if part in keys:
                continue
            if modality == "text":
                keys[part] = hashlib.sha256(part.encode("utf-8", "replace")).hexdigest()
                contents[keys[part]] = part
            elif (catalogue.root / part).is_file():
                keys[part] = hashlib.sha256((catalogue.root / part).read_bytes()).hexdigest()
                contents[keys[part]] = catalogue.root / part
    return contents, keys


def photo_encoder(encoder: Any) -> Callable[[list[Path]], list[States]]:
    """Reads and encodes photo files. An unreadable one gets no tokens at all: it counts as absent."""

    def encode(paths: list[Path]) -> list[States]:
        images, readable = [], []
        for path in paths:
            try:
                images.append(read_image(path.read_bytes(), path.name)[0])
                readable.append(True)
            except PhotoError:
                readable.append(False)
        states = iter(encoder.encode(images))
        return [next(states) if good else nothing(encoder.width) for good in readable]

    return encode


def nothing(width: int) -> States:
    import numpy as np

    return States(tokens=np.zeros((0, width), np.float16), pooled=np.zeros(width, np.float16))
