"""Studio's sounds, clips and listeners: what is planted can be heard, and nothing of version 1 moved."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sample_data.generator import clips, sound
from sample_data.generator.heard import RINGS, Sound, give_sounds
from sample_data.generator.media import list_media, write_sounds
from sample_data.generator.people import USERS
from sample_data.generator.shop import Studio, build_studio
from sample_data.generator.tables import make_files

STUDIO = Path(__file__).resolve().parents[1] / "sample_data" / "studio"
DIGESTS = {  # of items.csv + interactions.csv, as sample_data/README.md records them
    "1.0.0": "f5c76ecd66226278950a7f98049fe59eb6816ee475f4efc7c6be9e5665f8ec99",
    "2.0.0": "4de7a1d1fa2d154b5367ef135864f93acab9e7dbe4781144addba3e16d669176",
}
BOWL = Sound(family="bowl", material="glass", height=0.0, body="solid", ring="short", voice="clear")


@pytest.fixture(scope="module")
def studio() -> Studio:
    return build_studio(0)


@pytest.fixture(scope="module")
def files(studio: Studio) -> dict[str, bytes]:
    return make_files(studio, {})


def late_energy(one: Sound) -> float:
    wave = sound.make_sound(one, 0, "late")
    return float((wave[round(0.8 * sound.RATE) :] ** 2).sum() / (wave**2).sum())


def test_version_2_holds_every_byte_of_version_1_and_the_bundled_shop_is_one_of_the_two(
    files: dict[str, bytes],
) -> None:
    digests = json.loads(files["truth.json"])["digests"]
    assert digests["version_1"] == DIGESTS["1.0.0"]
    assert digests["text"] == DIGESTS["2.0.0"]
    bundled = json.loads((STUDIO / "truth.json").read_text("utf-8"))
    assert bundled["digests"]["text"] == DIGESTS[bundled["generator"]["version"]]


def test_the_loudest_tone_of_a_tap_is_the_planted_one_and_small_things_are_higher() -> None:
    lamp = replace(BOWL, family="side_table", material="brass")
    for one in (lamp, replace(lamp, height=0.8)):
        spectrum = np.abs(np.fft.rfft(sound.make_sound(one, 0, "x")))
        peak = float(np.fft.rfftfreq(sound.LENGTH, 1 / sound.RATE)[spectrum.argmax()])
        ratios = np.array(sound.BUILDS["side_table"].ratios)
        assert np.abs(peak / sound.lowest(one) / ratios - 1).min() < 0.03  # one of its modes
    assert sound.lowest(replace(lamp, height=0.8)) > sound.lowest(lamp)


@pytest.mark.parametrize("material", sound.SUBSTANCES)
def test_a_long_ring_outlasts_the_others_in_every_material(material: str) -> None:
    dry, short, long = (late_energy(replace(BOWL, material=material, ring=ring)) for ring in RINGS)
    assert long > 10 * short and long > 10 * dry


def test_a_silent_file_is_silent_and_a_sound_is_mono_at_22050_hertz() -> None:
    soundfile = pytest.importorskip("soundfile")
    wave, rate = soundfile.read(io.BytesIO(sound.encode(sound.make_sound(BOWL, 0, "x"))))
    assert (wave.ndim, rate, len(wave)) == (1, 22_050, 26_460) and np.abs(wave).max() > 0.5
    quiet, _ = soundfile.read(io.BytesIO(sound.encode(sound.silence(0, "x"))))
    assert np.abs(quiet).max() < 0.001


def test_ring_and_voice_go_along_the_diagonal_of_a_group(studio: Studio) -> None:
    sounds = give_sounds(studio.world, studio.items)
    for group in studio.world.groups:
        a1, a2, b1, b2 = ((sounds[name].ring, sounds[name].voice) for name in group.items)
        assert a1 == b2 and a2 == b1 and a1[0] != a2[0] and a1[1] != a2[1]


def test_listeners_say_only_what_is_heard_and_alone_send_recordings(studio: Studio) -> None:
    for number, (row, review) in enumerate(zip(studio.rows, studio.reviews, strict=True)):
        facts = studio.sounds[studio.items[row.item].item_id].facts()
        assert all(facts[kind] == level for kind, level in (fact.split(":") for fact in review.heard))
        assert bool(review.heard) == (row.user >= USERS) == (number >= studio.first_listener_row)
    assert all(number >= studio.first_listener_row for number in (*studio.recorded.sounds, *studio.recorded.clips))
    assert {round(u.share_look + u.share_read + u.share_heard, 6) for u in studio.people.users} == {1.0}


def test_every_item_has_a_sound_file_but_for_the_planted_faults(studio: Studio, files: dict[str, bytes]) -> None:
    named = list_media(files)
    missing = {item.item_id for item in studio.items if f"sounds/{item.item_id}.ogg" not in named}
    assert missing == set(studio.sound_faults.no_sound) and len(named) == len(set(named))


def test_sounds_that_are_there_are_left_alone(studio: Studio, tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    made = write_sounds(studio, tmp_path)
    first = next(made)
    first.write_bytes(b"mine")
    next(made)
    assert next(write_sounds(studio, tmp_path)) != first and first.read_bytes() == b"mine"


def test_a_clip_has_all_its_frames_and_a_sibling_of_one_look_begins_elsewhere(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    strip = Image.new("RGB", (12 * clips.SIZE, clips.SIZE))
    for k in range(12):
        strip.paste((20 * k, 40, 60), (k * clips.SIZE, 0, (k + 1) * clips.SIZE, clips.SIZE))
    strip.save(tmp_path / "clips_s001.webp", lossless=True)
    reds = []
    for file in ("clips/s001.webm", "clips/s002.webm"):
        clip = {"file": file, "rendered": "clips/s001.webm", "frames": 12, "seed": 5}
        with av.open(io.BytesIO(clips.encode(clips.strip_path(tmp_path, clip), clip))) as film:
            reds.append([float(frame.to_ndarray(format="rgb24")[..., 0].mean()) for frame in film.decode(video=0)])
    assert len(reds[0]) == len(reds[1]) == 12
    assert np.abs(np.array(reds[0]) - 20 * np.arange(12)).max() < 12
    assert abs(reds[1][0] - reds[0][0]) > 10


def test_a_customer_recording_keeps_the_voice_of_the_product() -> None:
    def high_band(voice: str) -> float:
        wave = sound.record_again(replace(BOWL, material="oak", voice=voice), 0, "customer")
        power = np.abs(np.fft.rfft(wave)) ** 2
        return float(power[np.fft.rfftfreq(len(wave), 1 / sound.RATE) > 8000].sum() / power.sum())

    assert high_band("jingling") > 5 * high_band("clear")
