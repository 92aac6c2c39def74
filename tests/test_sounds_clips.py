"""Sounds and films that are whole: what the readers make of them, and what becomes of a worker that fails."""

import io
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from core.catalog import clips, media_workers
from core.catalog.clips import encode_clip, read_clip, without_frames
from core.catalog.sounds import encode_sound, read_sound, read_sound_safely, silence
from core.errors import ClipError, SoundError
from core.limits import LIMITS

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video_clips" / "videos"


def tone(seconds, rate=16_000, hertz=440.0, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def file_of(samples, rate, form="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form)
    return buffer.getvalue()


def film(stamps, *, form="matroska", rate=1000):
    """A film of grey frames, brighter and brighter: frame k has level 10 * k and is shown from stamps[k] seconds on."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as out:
        track = out.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        track.codec_context.time_base = Fraction(1, rate)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), min(255, 10 * number), np.uint8), "rgb24")
            frame.pts, frame.time_base = round(stamp * rate), Fraction(1, rate)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_tone_keeps_its_pitch_and_its_length(form, rate):
    sound, notices = read_sound(file_of(tone(1.0, rate, channels=2), rate, form), f"a.{form.lower()}")
    assert not notices and sound.seconds == pytest.approx(1.0, abs=0.1)
    heard = np.abs(np.fft.rfft(sound.samples[:16_000] * np.hanning(len(sound.samples[:16_000]))))
    assert heard.argmax() * 16_000 / len(sound.samples[:16_000]) == pytest.approx(440, abs=2)


def test_a_sound_of_120_seconds_is_read_and_one_of_121_is_not():
    assert read_sound(file_of(np.zeros(120 * 8000) + 0.1, 8000, "FLAC"), "a.flac")[0].seconds == 120
    with pytest.raises(SoundError, match=r"121 s of sound; at most 120 s .*E-AUD-LONG"):
        read_sound(file_of(np.zeros(121 * 8000), 8000, "FLAC"), "a.flac")


def test_a_moment_made_silent_leaves_the_rest_as_it_was():
    sound, _ = read_sound(file_of(tone(3.0), 16_000), "a.wav")
    cut = silence(sound, [(1.0, 2.0)])
    assert not cut.samples[16_000:32_000].any() and (cut.samples[:16_000] == sound.samples[:16_000]).all()
    again, _ = read_sound(encode_sound(cut, exact=True), "b.wav")
    assert (again.samples == cut.samples).all()


def test_frames_are_chosen_by_their_times_and_not_by_their_numbers():
    """Ten frames in the first half second, then one a second: most of what is kept lies in the later part."""
    stamps = [0.05 * k for k in range(10)] + [1.0 + k for k in range(9)]
    clip, notices = read_clip(film(stamps), "a.mkv")
    assert not notices and clip.known
    assert sum(time > 0.5 for time in clip.times) >= 8
    levels = clip.frames[:, 16, 16, 0].astype(int)
    assert [round(level / 10) for level in levels] == [np.argmin(np.abs(np.array(stamps) - t)) for t in clip.times]


def test_few_frames_are_all_kept_and_many_are_sixteen():
    assert len(read_clip(film([0.0, 0.5, 1.0]), "a.mkv")[0].frames) == 3
    clip, _ = read_clip(film([k / 10 for k in range(240)][:25] + [3 + k for k in range(50)]), "a.mkv")
    assert len(clip.frames) == LIMITS.clip_frames


def test_a_film_of_hours_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(clips, "_decoded", None)
    with pytest.raises(ClipError, match=r"lasts 720\d s; at most 60 s .*E-VID-LONG"):
        read_clip(film([0.0, 3600.0, 7200.0]), "a.mkv")


def test_without_the_film_library_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipError, match=r"package av .*E-VID-EXTRA"):
        read_clip(film([0.0, 0.5]), "a.mkv")


def test_a_clip_without_a_frame_is_read_again_without_it():
    clip, _ = read_clip(film([0.5 * k for k in range(8)]), "a.mkv")
    fewer = without_frames(clip, [2, 5])
    again, _ = read_clip(encode_clip(fewer), "b.mp4")
    assert len(again.frames) == 6 and again.times == pytest.approx(fewer.times, abs=0.02)
    assert again.frames[:, 16, 16, 0] == pytest.approx(fewer.frames[:, 16, 16, 0], abs=3)


def test_a_clip_that_lost_its_first_frames_keeps_the_times_of_the_others():
    clip, _ = read_clip(film([0.5 * k for k in range(8)]), "a.mkv")
    fewer = without_frames(clip, [0, 1])
    again, _ = read_clip(encode_clip(fewer), "b.mp4")
    assert fewer.times[0] == 1.0 and again.times == pytest.approx(fewer.times, abs=0.02)
    assert again.seconds == pytest.approx(clip.seconds, abs=0.05)
    twice, _ = read_clip(encode_clip(again), "c.mp4")
    assert twice.times == again.times


def test_frames_come_from_the_film_and_not_from_a_cover_that_stands_before_it():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        cover, track = out.add_stream("mjpeg", rate=1), out.add_stream("libx264", rate=10)
        for one, form in ((cover, "yuvj420p"), (track, "yuv420p")):
            one.width, one.height, one.pix_fmt = 32, 32, form
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 255, np.uint8), "rgb24")))
        for number in range(12):
            out.mux(track.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * number, np.uint8), "rgb24")))
        for one in (cover, track):
            out.mux(one.encode(None))
    clip, notices = read_clip(buffer.getvalue(), "a.mkv")
    assert not notices and len(clip.frames) > 1 and clip.frames.max() < 140


def test_an_mp3_of_8_khz_is_known_by_its_first_bytes():
    data = file_of(tone(1.0, 8_000), 8_000, "MP3")
    start = data.index(b"\xff\xe3")
    assert read_sound(data[start:], "call")[0].seconds == pytest.approx(1.0, abs=0.2)


def test_a_sound_worker_that_dies_costs_one_sound(monkeypatch):
    good, pool = file_of(tone(0.5), 16_000), media_workers.Pool("sound", size=1)
    code = "import sys, os; from core.catalog import media_workers as w\nw._answer_for = lambda *_: os._exit(3)\n"
    code += "w.serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])"
    with monkeypatch.context() as patched:
        patched.setattr(media_workers.Worker, "command", (sys.executable, "-c", code))
        with pytest.raises(SoundError, match=r"^a.wav: the program that reads sounds .* \(E-WORKER-DIED\)$"):
            pool.read(good, "a.wav")
    assert pool.read(good, "a.wav")[0].seconds == 0.5
    pool.close()


def test_a_worker_gives_the_same_samples():
    data = file_of(tone(1.0, 44_100), 44_100)
    assert (read_sound_safely(data, "a.wav")[0].samples == read_sound(data, "a.wav")[0].samples).all()


@pytest.mark.skipif(not CLIPS.is_dir(), reason="../shared/data/video_clips is not there")
@pytest.mark.parametrize("file", ["book.mkv", "people-detection.gif", "walk.mkv"])
def test_real_clips_are_decoded(file):
    clip, notices = read_clip((CLIPS / file).read_bytes(), file)
    assert not notices and LIMITS.clip_frames_min <= len(clip.frames) <= LIMITS.clip_frames
    assert max(clip.frames.shape[1:3]) == LIMITS.frame_kept_side
    assert list(clip.times) == sorted(set(clip.times)) and clip.times[-1] < clip.seconds
