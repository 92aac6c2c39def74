"""Pictures of sounds and clips say what the numbers say."""

import numpy as np
import pytest
from PIL import Image

from core.figures_media import frame_strip, moments_table, rgba, spectrogram, waveform

MOMENTS = [
    {"name": "0.0 to 0.5 s", "start": 0.0, "end": 0.5, "weight": 0.2, "attention": 0.7},
    {"name": "0.5 to 1.2 s", "start": 0.5, "end": 1.2, "weight": -0.1, "attention": 0.3},
]


def test_a_moment_covers_its_own_time_and_a_lowering_one_is_hatched():
    figure = spectrogram(np.zeros((128, 64), np.float32) - 40, 1.2, MOMENTS)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(0.0, 0.5), (0.5, 1.2)]
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert list(bars.marker.pattern.shape) == ["", "/"]
    assert bars.y[0] == pytest.approx(2 * bars.y[1])  # heights are sizes, the sign is the hatch
    assert bars.customdata[1][1] == "\u22120.10"


def test_moments_that_explain_nothing_are_drawn_in_greys_and_not_blank():
    figure = spectrogram(np.zeros((128, 64), np.float32) - 40, 1.2, MOMENTS, grey=True)
    strip = frame_strip([Image.new("RGB", (8, 8))] * 2, MOMENTS, grey=True)
    for bars in (next(trace for trace in one.data if trace.type == "bar") for one in (figure, strip)):
        colours = [one[5:].split(",")[:3] for one in bars.marker.color]
        assert all(len(set(one)) == 1 for one in colours) and colours[0] != colours[1]
        assert list(bars.marker.pattern.shape) == ["", ""]


def test_what_was_looked_at_is_a_line_of_its_own_and_absent_without_attention():
    sound = np.zeros((128, 64), np.float32)
    assert [trace.type for trace in spectrogram(sound, 1.2, MOMENTS).data] == ["heatmap", "bar", "scatter"]
    plain = [{key: value for key, value in one.items() if key != "attention"} for one in MOMENTS]
    assert [trace.type for trace in spectrogram(sound, 1.2, plain).data] == ["heatmap", "bar"]
    assert len(spectrogram(sound, 1.2).data) == 1


def test_a_strip_shows_every_frame_once_under_its_time():
    frames = [Image.new("RGB", (32, 24), (90 * at, 0, 0)) for at in range(2)]
    figure = frame_strip(frames, MOMENTS)
    assert len(figure.layout.images) == 2 and list(figure.layout.xaxis.ticktext) == ["0.0 s", "0.5 s"]
    assert all(image.source.startswith("data:image/jpeg;base64,") for image in figure.layout.images)
    unknown = [{**one, "start": None, "end": None} for one in MOMENTS]
    assert list(frame_strip(frames, unknown).layout.xaxis.ticktext) == ["1", "2"]


def test_dots_over_the_frames_say_where_the_model_looked_and_are_absent_without_attention():
    frames = [Image.new("RGB", (32, 24), (90 * at, 0, 0)) for at in range(2)]
    strip = frame_strip(frames, MOMENTS)
    bars, dots = strip.data
    assert (bars.type, dots.type) == ("bar", "scatter") and list(dots.customdata) == [0.7, 0.3]
    assert dots.y[0] > dots.y[1] > 1.0  # above the pictures, which would cover them
    assert strip.layout.yaxis.range[1] > dots.y[0]
    plain = [{key: value for key, value in one.items() if key != "attention"} for one in MOMENTS]
    assert len(frame_strip(frames, plain).data) == 1


def test_the_wave_of_a_long_sound_stays_small_and_keeps_its_peaks():
    samples = np.zeros(120 * 16_000, np.float32)
    samples[1_000_000] = 0.9
    figure = waveform(samples, 16_000)
    assert len(figure.data[0].y) < 3000 and max(figure.data[0].y) == pytest.approx(0.9)


def test_the_twin_table_holds_the_same_numbers():
    assert [row["weight"] for row in moments_table(MOMENTS)] == [0.2, -0.1]
    assert rgba(0.0, 0.5).endswith("0.000)")
