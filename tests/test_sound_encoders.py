"""Encoders of sounds and clips: what they say belongs to the right moment, whoever hears it."""

from pathlib import Path

import numpy as np
import pytest

from core.catalog.clips import Clip, read_clip, without_frames
from core.catalog.sounds import Sound, silence
from core.encode import load_encoder
from core.encode.audio import MOMENT, RATE, AudioEncoder, log_mel
from core.encode.listeners import moments
from core.encode.video import VideoEncoder


def tone(seconds, hertz=440.0, rate=RATE):
    return Sound(samples=np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32) / 2)


@pytest.fixture(scope="module")
def hears():
    return AudioEncoder()


@pytest.fixture(scope="module")
def sees():
    return VideoEncoder()


def test_a_moment_is_half_a_second_and_a_short_rest_is_none():
    assert [log_mel(tone(s)).shape[1] // 32 for s in (0.1, 0.5, 1.05, 1.2, 5.0)] == [1, 1, 2, 3, 10]


def test_a_higher_tone_lies_higher_in_the_spectrogram():
    low, high = (log_mel(tone(1.0, hertz)).mean(1).argmax() for hertz in (220.0, 3520.0))
    assert 0 < low < high < 128


def test_loudness_alone_changes_nothing(hears):
    loud = tone(1.0)
    quiet = Sound(samples=loud.samples / 100)
    assert log_mel(quiet) == pytest.approx(log_mel(loud), abs=0.01)


def test_silencing_the_end_leaves_what_is_said_of_the_beginning_nearly_as_it_was(hears):
    noise = Sound(samples=np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32))
    whole, cut = (hears.encode([one])[0].tokens.reshape(7, 8, -1) for one in (noise, silence(noise, [(3.0, 4.0)])))
    change = np.linalg.norm(whole - cut, axis=2).mean(0) / np.linalg.norm(whole, axis=2).mean(0)  # (8,)
    assert change[:2].max() < 0.5 * change[6:].min()


def test_the_pieces_of_a_sound_cover_every_state_once_and_all_of_its_time(hears):
    sound = tone(2.2)
    state = hears.encode([sound])[0]
    pieces = hears.pieces(sound, len(state.tokens))
    assert sorted(row for piece in pieces for row in piece.rows) == list(range(7 * 5))
    assert [piece.span for piece in pieces] == [(0, 500), (500, 1000), (1000, 1500), (1500, 2000), (2000, 2200)]
    assert state.pooled == pytest.approx(state.tokens.mean(0))


def test_a_frame_is_one_state_and_tells_its_time(sees):
    frames = np.stack([np.full((24, 32, 3), level, np.uint8) for level in (0, 128, 255)])
    clip = Clip(frames=frames, times=(0.0, 0.5, 1.0), seconds=1.5)
    state = sees.encode([clip])[0]
    assert state.tokens.shape == (3, sees.width)
    assert [piece.span for piece in sees.pieces(clip, 3)] == [(0, 500), (500, 1000), (1000, 1500)]
    alone = sees.frames.encode([clip.image(1)])[0]
    assert state.tokens[1] == pytest.approx(alone.pooled, abs=1e-4)


def test_states_are_averaged_over_their_own_half_second():
    states = np.arange(8, dtype=np.float32)[:, None]  # four a second over two seconds
    assert moments(states, 2.0, 2.0)[:, 0].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert moments(states, 2.0, 1.0)[:, 0].tolist() == [0.5, 2.5]  # what was filled up is not heard


# Networks by folder, tiny and untrained


def whisper(folder):
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, vocab_size=32, num_mel_bins=80, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)


def spectrogram_transformer(folder):
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    config = ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=128,
        num_mel_bins=128,
    )  # fmt: skip
    ASTModel(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=128).save_pretrained(folder)


def clap(folder):
    from transformers import ClapAudioConfig, ClapAudioModel, ClapFeatureExtractor

    config = ClapAudioConfig(
        patch_embeds_hidden_size=8, depths=[1, 1], num_attention_heads=[1, 2], hidden_size=16, spec_size=256,
        num_mel_bins=64, window_size=2, enable_fusion=False, num_classes=4,
    )  # fmt: skip
    ClapAudioModel(config).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad").save_pretrained(folder)


@pytest.mark.parametrize("build", [whisper, spectrogram_transformer, clap])
def test_a_network_of_transformers_says_something_of_every_moment(build, tmp_path):
    import torch

    torch.manual_seed(0)
    build(tmp_path)
    encoder = load_encoder("audio", str(tmp_path))
    short, long = tone(0.7), tone(12.3)
    states = encoder.encode([short, long])
    assert [len(state.tokens) for state in states] == [2, 25]
    assert all(state.tokens.shape[1] == encoder.width and np.isfinite(state.tokens).all() for state in states)
    assert [len(encoder.pieces(sound, len(s.tokens))) for sound, s in zip((short, long), states, strict=True)] == [
        2,
        25,
    ]
    assert load_encoder("audio", str(tmp_path)).fingerprint == encoder.fingerprint != AudioEncoder().fingerprint
    assert MOMENT == 0.5


CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video_clips"


@pytest.mark.skipif(not CLIPS.is_dir(), reason="../shared/data/video_clips is not there")
def test_half_of_the_frames_of_a_real_clip_find_the_other_half(sees):
    clips = [
        read_clip((CLIPS / "videos" / name).read_bytes(), name)[0] for name in ("book.mkv", "milk.mkv", "walk.mkv")
    ]
    clips.append(read_clip((CLIPS / "videos" / "people-detection.gif").read_bytes(), "people.gif")[0])
    halves = [[without_frames(clip, range(start, len(clip.frames), 2)) for clip in clips] for start in (0, 1)]
    asked, kept = (np.stack([state.pooled for state in sees.encode(half)]) for half in halves)
    asked, kept = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, kept))
    assert (asked @ kept.T).argmax(1).tolist() == [0, 1, 2, 3]
