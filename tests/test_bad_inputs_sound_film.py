"""Every sound and film of the bad-inputs corpus, through the readers that page, command and training use."""

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.catalog.clips import encode_clip, read_clip, read_clip_safely
from core.catalog.names import shown_name
from core.catalog.sounds import encode_sound, read_sound, read_sound_safely
from core.errors import ClipError, SoundError

TOOL = Path(__file__).resolve().parents[2] / "shared" / "tools" / "make_bad_inputs.py"
if not TOOL.is_file():
    pytest.skip("the corpus generator ../shared/tools/make_bad_inputs.py is not there", allow_module_level=True)
GROUPS = {"sound_formats", "damaged_audio", "videos"}
READERS = {"audio": (read_sound, read_sound_safely), "video": (read_clip, read_clip_safely)}


def load_tool():
    """The generator as a module of its own, cut down to sound and film."""
    spec = importlib.util.spec_from_file_location("make_bad_sound_and_film", TOOL)
    tool = importlib.util.module_from_spec(spec)
    sys.modules["make_bad_sound_and_film"] = tool
    spec.loader.exec_module(tool)
    tool.GROUPS = tuple(group for group in tool.GROUPS if group.__name__ in GROUPS)
    return tool


TOOL_MODULE = load_tool()
CASES = {case.row()["file"]: case for case in TOOL_MODULE.all_cases(seed=7)}
ROWS = [pytest.param(case.row(), id=file) for file, case in CASES.items()]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_sound_and_film")
    TOOL_MODULE.write_corpus(folder, list(CASES.values()))
    return folder


def name_of(row):
    return row["file"].partition("/")[2].partition("_")[2]


@pytest.mark.parametrize("safely", [0, 1], ids=["here", "in a worker"])
@pytest.mark.parametrize("row", ROWS)
def test_every_sound_and_film_gets_its_outcome_and_code(corpus, row, safely):
    data, read = (corpus / row["file"]).read_bytes(), READERS[row["kind"]][safely]
    start = time.process_time()
    try:
        _, notices = read(data, name_of(row))
        found = "accept-with-notice" if notices else "accept", ",".join(sorted({notice.code for notice in notices}))
    except (SoundError, ClipError) as error:
        found = "refuse", error.code
        told = str(error)
        assert told.startswith(f"{shown_name(name_of(row))}: ") and told.endswith(f"({row['expected_code']})")
        assert "expected" in told and str(corpus) not in told and "Error" not in told and "av." not in told
    assert found == (row["expected_outcome"], row["expected_code"])
    assert time.process_time() - start < 5


def read_row(corpus, file):
    row = CASES[file].row()
    return READERS[row["kind"]][0]((corpus / file).read_bytes(), name_of(row))


@pytest.mark.parametrize("file", [row.values[0]["file"] for row in ROWS if row.values[0]["kind"] == "audio"
                                  and row.values[0]["expected_outcome"] != "refuse"])  # fmt: skip
def test_a_sound_is_one_channel_of_16_khz_and_its_stored_copy_holds_nothing_else(corpus, file):
    sound, _ = read_row(corpus, file)
    assert sound.rate == 16_000 and sound.samples.ndim == 1 and sound.samples.dtype == np.float32
    stored = encode_sound(sound)
    assert TOOL_MODULE.SCRIPT.encode() not in stored and b"script" not in stored
    assert read_sound(stored, "copy.flac")[0].seconds == pytest.approx(sound.seconds, abs=1e-3)


def test_a_sound_that_holds_less_than_it_claims_keeps_what_is_there(corpus):
    assert read_row(corpus, "audio/511_shorter_than_claimed.wav")[0].seconds == 1.0
    assert read_row(corpus, "audio/502_endless_header.wav")[0].seconds == 1.0


def test_a_film_that_is_turned_is_upright(corpus):
    plain, _ = read_row(corpus, "video/600_ok.mov")
    turned, _ = read_row(corpus, "video/610_turned.mov")
    assert plain.frames.shape[1:3] == (48, 64) and turned.frames.shape[1:3] == (64, 48)
    assert (turned.frames[0] == np.rot90(plain.frames[0], -1)).all()  # matrix (0, 1, -1, 0): a quarter clockwise


def test_19_of_20_frames_are_told(corpus):
    _, notices = read_row(corpus, "video/614_damaged_frame.mov")
    assert "19 of 20" in notices[0].message


def test_a_picture_and_a_sound_among_films_are_sent_where_they_belong(corpus):
    with pytest.raises(ClipError, match="as a photo"):
        read_row(corpus, "video/608_really_png.mp4")
    with pytest.raises(ClipError, match="as a sound"):
        read_row(corpus, "video/605_sound_only.mov")


def test_a_stored_copy_of_a_film_is_a_film(corpus):
    clip, _ = read_row(corpus, "video/619_moving.gif")
    again, notices = read_clip(encode_clip(clip), "copy.mp4")
    assert again.frames.shape == clip.frames.shape and not notices
    assert np.abs(again.frames.astype(int) - clip.frames).mean() < 12
