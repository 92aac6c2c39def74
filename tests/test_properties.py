"""Whatever comes, a reader gives a value or one of our own refusals, in time: bytes nobody thought of, by hypothesis.

FUSESCOPE_EXAMPLES is how many a reader: 25 in the everyday suite, 200 by `FUSESCOPE_EXAMPLES=200`, 2000 by hand.
"""

import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.catalog.archive import unpack_archive
from core.catalog.arrays import read_array
from core.catalog.folder import read_folder
from core.catalog.photos import read_image
from core.catalog.sounds import read_sound
from core.catalog.words import clean_text
from core.errors import FusescopeError
from core.tensors import checked_tensors

EXAMPLES = int(os.environ.get("FUSESCOPE_EXAMPLES", "25"))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
SECONDS = 5.0


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def wave() -> bytes:
    samples = (np.sin(np.arange(8000) / 9) * 9000).astype("<i2").tobytes()
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"\1\0\1\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\2\0\x10\0data"
    return head + len(samples).to_bytes(4, "little") + samples


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, 4), np.float32))
    return buffer.getvalue()


def weights() -> bytes:
    from safetensors.numpy import save

    return save({"a": np.ones((3, 4), np.float32), "b": np.zeros(5, np.float16)})


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """The bytes with some changed, a piece moved, or an end missing."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data[at:at] = draw(st.binary(max_size=40))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


def settles(work) -> None:
    """A value or our own refusal, within 5 s of processor time."""
    begun = time.process_time()
    try:
        work()
    except FusescopeError as error:
        assert str(error).endswith(f"({error.code})") and "Traceback" not in str(error)
    assert time.process_time() - begun < SECONDS


PICTURES = [encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")]


@bounded
@given(st.sampled_from(PICTURES).flatmap(damaged), st.sampled_from(["a.jpg", "a.png", "a", "a.webp"]))
def test_any_damaged_picture_settles(data, name):
    settles(lambda: read_image(data, name))


@bounded
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=400) | st.binary(max_size=400))
def test_any_text_settles(words):
    data = words.encode("utf-8", "surrogatepass") if isinstance(words, str) else words
    settles(lambda: clean_text(data, "words"))


CELLS = st.text(st.sampled_from("abc,;\t|\"'=\n\r\0\ufeff1.5e9\u2028\u00e9"), max_size=12)


@bounded
@given(st.lists(st.lists(CELLS, max_size=5), max_size=6), st.binary(max_size=30), st.sampled_from([".csv", ".jsonl"]))
def test_any_table_settles(tmp_path_factory, rows, tail, ending):
    place = tmp_path_factory.mktemp("t")
    text = "item_id,title,price\n" + "\n".join(",".join(row) for row in rows)
    (place / f"items{ending}").write_bytes(text.encode("utf-8", "surrogatepass") + tail)
    settles(lambda: read_folder(place, "x"))


NAMES = st.text(st.sampled_from("ab/.\\:\0\u202eAB~ "), min_size=1, max_size=14) | st.sampled_from(
    ["items.csv", "../x", "/x", "photos/a.jpg", "C:\\x", "a.zip"]
)


@bounded
@given(st.dictionaries(NAMES, st.binary(max_size=60), max_size=6), st.booleans(), st.data())
def test_any_archive_settles_and_writes_nothing_outside(tmp_path_factory, entries, cut, data):
    place: Path = tmp_path_factory.mktemp("z")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    whole = buffer.getvalue()
    (place / "a.zip").write_bytes(data.draw(damaged(whole)) if cut else whole)
    (place / "in" / "here").mkdir(parents=True)
    settles(lambda: unpack_archive(place / "a.zip", place / "in" / "here"))
    assert {path.name for path in place.iterdir()} == {"a.zip", "in"}
    assert {path.name for path in (place / "in").iterdir()} == {"here"}


@bounded
@given(damaged(wave()))
def test_any_damaged_sound_settles(data):
    settles(lambda: read_sound(data, "a.wav"))


@bounded
@given(damaged(array()))
def test_any_damaged_array_settles(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("a") / "a.npy"
    path.write_bytes(data)
    settles(lambda: read_array(path))


@bounded
@given(damaged(weights()))
def test_any_damaged_weights_settle(data):
    settles(lambda: checked_tensors(data, "a.safetensors"))
