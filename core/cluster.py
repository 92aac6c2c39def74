"""Encoding on Ray Data (`requirements-ray.txt`): the same encoder functions in actors, chunk by chunk into one store.

An actor gets the chunks that `core.encode.cache.encode_cached` would encode here, so its vectors are equal to the byte
on equal processors. Chunks enter the store as they come: what was cut goes on where it stopped. Ray holds back new
chunks while finished ones wait. Every machine of a cluster must see the workspace's disk, and must be on a network that
is trusted: Ray runs whatever it is sent, by whoever reaches its ports.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import RunSettings, ray_address
from core.domain import Catalogue, Modality
from core.errors import SettingsError

if TYPE_CHECKING:
    from core.encode.states import States

OnStep = Callable[[str, float], None]
INLINE = "inline"
ENGINES = (INLINE, "ray")


def check_engine(name: str) -> None:
    """Raises SettingsError for an engine that is not known or not installed."""
    if name not in ENGINES:
        raise SettingsError(f'engine "{name}" is not known; {", ".join(ENGINES)} were expected. Choose one of those')
    if name == "ray" and importlib.util.find_spec("ray") is None:
        raise SettingsError("Ray is not installed. Install requirements-ray.txt, or leave --engine out: all of it runs "
                            "here then, with the same result")  # fmt: skip


def encode_by_ray(
    catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None, settings: RunSettings | None = None
) -> int:
    """Encodes what the store does not hold yet, as `core.features.encode_catalogue` does; how many media that were."""
    from core.encode import load_encoder
    from core.encode.cache import CHUNK, VectorStore
    from core.features import TOLD, contents_of, encoder_name, modalities_of

    check_engine("ray")
    tell, chosen, done = on_step or (lambda label, fraction: None), settings or RunSettings(), 0
    wanted = [m for m in modalities_of(catalogue) if m not in catalogue.features or catalogue.features[m].encoder]
    with connected():
        for number, modality in enumerate(wanted):
            name = encoder_name(chosen, modality)
            store = VectorStore(vectors, load_encoder(modality, name).fingerprint)
            contents, _ = contents_of(catalogue, catalogue.interactions, modality)
            todo = store.missing(contents)
            chunks = [todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)]
            given = [[sent(contents[key]) for key in keys] for keys in chunks]
            for part, (at, states) in enumerate(encoded_chunks(modality, name, given), start=1):
                store.put(dict(zip(chunks[at], states, strict=True)))
                share = (number + part / len(chunks)) / len(wanted)
                tell(f"encoding {TOLD[modality]} on Ray, {part} of {len(chunks)} parts", share)
            done += len(todo)
    return done


def sent(content: str | Path) -> str:
    """A text as it is; of a file the whole path, since an actor stands elsewhere."""
    return str(content.absolute()) if isinstance(content, Path) else content


def encoded_chunks(modality: Modality, name: str, chunks: list[list[str]]) -> Iterator[tuple[int, list[States]]]:
    """The number of a chunk and its states, in whatever order they are ready. chunks: texts, or paths of files."""
    if not chunks:
        return
    import ray

    rows = [{"at": at, "contents": json.dumps(chunk)} for at, chunk in enumerate(chunks)]
    actors = min(max(1, int(ray.cluster_resources().get("CPU", 1))), len(chunks))
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        EncoderActor, fn_constructor_args=(modality, name), batch_size=1, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )  # fmt: skip
    for row in made.iter_rows():
        yield int(row["at"]), unpacked(bytes(row["data"]), json.loads(row["shapes"]))


@contextmanager
def connected() -> Iterator[None]:
    """In the cluster that FUSESCOPE_RAY names, or in one on this machine that listens to it alone and tells nobody."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    address = ray_address()
    where: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    ray.init(**({"address": address} if address else where), log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


class EncoderActor:
    """One encoder in a process of its own, which takes chunks as they come."""

    def __init__(self, modality: Modality, name: str) -> None:
        import torch

        from core.catalog.parts import READ
        from core.encode import load_encoder
        from core.features import media_encoder

        torch.set_num_threads(1)  # Ray counts one core an actor
        encoder = load_encoder(modality, name)
        self.texts = modality == "text"
        self.encode = encoder.encode if self.texts else media_encoder(encoder, READ[modality])

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        from core.encode.cache import encode_within

        [at], [told] = batch["at"], batch["contents"]
        contents = json.loads(str(told))
        states = encode_within(self.encode, contents if self.texts else [Path(one) for one in contents])
        data, shapes = packed(states)
        return {"at": [int(at)], "data": [data], "shapes": [json.dumps(shapes)]}


def packed(states: list[States]) -> tuple[bytes, list[tuple[int, int]]]:
    """Half precision, as the store keeps it, and (tokens, width) of each."""
    kept = [state.rounded() for state in states]
    data = b"".join(one.tokens.tobytes() + one.pooled.tobytes() for one in kept)
    return data, [(len(one.tokens), len(one.pooled)) for one in kept]


def unpacked(data: bytes, shapes: list[tuple[int, int]]) -> list[States]:
    import numpy as np

    from core.encode.states import States

    found, at = [], 0
    for tokens, width in shapes:
        values = np.frombuffer(data, np.float16, (tokens + 1) * width, at).reshape(tokens + 1, width)
        found.append(States(tokens=values[:-1], pooled=values[-1]))
        at += values.nbytes
    return found
