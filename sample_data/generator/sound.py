"""The sounds, by modal synthesis: a tap excites damped modes whose ratios follow the family, whose pitch follows size
and material, and whose decay follows material and ring. Bells ring, clocks tick, speakers play a tone after the tap.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.heard import Sound
from sample_data.generator.world import stream

RATE, SECONDS = 22_050, 1.2
LENGTH = round(RATE * SECONDS)
QUALITY = 0.55  # Vorbis compression level of libsndfile: 0 best, 1 smallest


@dataclass(frozen=True, kw_only=True)
class Substance:
    """How a material sounds.

    speed: factor on every frequency. decay: seconds to -60 dB of the lowest mode. damping: power by which higher modes
    die sooner. bright: decibels per octave of the modes' strength. knock: strength and centre frequency of the contact
    noise, its length in seconds.
    """

    speed: float
    decay: float
    damping: float
    bright: float
    knock: tuple[float, float, float]


SUBSTANCES = {
    "ceramic": Substance(speed=1.15, decay=0.40, damping=0.55, bright=-4.5, knock=(0.55, 2600, 0.010)),
    "glass": Substance(speed=1.45, decay=0.60, damping=0.35, bright=-1.0, knock=(0.50, 6800, 0.004)),
    "oak": Substance(speed=0.72, decay=0.20, damping=0.95, bright=-8.0, knock=(0.90, 1250, 0.020)),
    "walnut": Substance(speed=0.56, decay=0.17, damping=1.15, bright=-12.0, knock=(0.90, 560, 0.030)),
    "steel": Substance(speed=1.30, decay=0.85, damping=0.15, bright=1.5, knock=(0.55, 4400, 0.018)),
    "brass": Substance(speed=0.90, decay=1.00, damping=0.40, bright=-3.0, knock=(0.25, 3400, 0.004)),
    "fabric": Substance(speed=0.34, decay=0.10, damping=1.00, bright=-16.0, knock=(2.00, 260, 0.060)),
    "plastic": Substance(speed=0.85, decay=0.11, damping=0.45, bright=-6.0, knock=(1.10, 1900, 0.007)),
    "stone": Substance(speed=1.02, decay=0.14, damping=0.30, bright=-2.0, knock=(1.40, 5200, 0.016)),
}
SHELL = (1.0, 2.32, 4.25, 6.63, 9.38)
BEAM = (1.0, 2.756, 5.404, 8.933)
SETTLING = ((0.0, 1.0), (0.12, 0.7), (0.21, 0.5), (0.28, 0.35), (0.33, 0.25))
TICKS = tuple((0.2 * k, (1.0, 0.75)[k % 2]) for k in range(3))
PLATE = (1.0, 1.58, 2.24, 2.92, 3.46, 4.12, 5.4, 6.9, 8.1)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How a family sounds. base: lowest mode at middle size in hertz. ratios: of its modes. strikes: moments of the
    taps in seconds with their strength: a lid that falls back, legs that settle, a pendulum."""

    base: float
    ratios: tuple[float, ...]
    strikes: tuple[tuple[float, float], ...] = ((0.0, 1.0),)


BUILDS = {
    "mug": Build(base=620, ratios=SHELL),
    "vase": Build(base=470, ratios=SHELL, strikes=((0.0, 1.0), (0.42, 0.7))),
    "bowl": Build(base=760, ratios=(1.0, 2.0, 3.1, 4.4, 6.1)),
    "bottle": Build(base=540, ratios=SHELL, strikes=((0.0, 1.0), (0.16, 0.8), (0.32, 0.65))),
    "teapot": Build(base=580, ratios=SHELL, strikes=((0.0, 1.0), (0.085, 0.6), (0.13, 0.35))),
    "planter": Build(base=340, ratios=SHELL, strikes=((0.0, 1.0), (0.3, 1.0), (0.6, 1.0))),
    "table_lamp": Build(base=480, ratios=BEAM, strikes=((0.0, 0.6), (0.2, 1.0))),
    "candle_holder": Build(base=560, ratios=BEAM, strikes=SETTLING),
    "pendant_lamp": Build(base=430, ratios=(1.0, 1.73, 2.33, 3.91, 6.3), strikes=((0.0, 1.0), (0.55, 0.9))),
    "stool": Build(base=300, ratios=PLATE, strikes=((0.0, 1.0), (0.065, 0.8))),
    "chair": Build(base=260, ratios=PLATE, strikes=((0.0, 0.8), (0.24, 1.0), (0.3, 0.6))),
    "side_table": Build(base=280, ratios=PLATE),
    "clock": Build(base=950, ratios=(1.0, 1.41, 2.53, 3.37), strikes=TICKS),
    "speaker": Build(base=300, ratios=PLATE[:5]),
    "bell": Build(base=880, ratios=(0.5, 1.0, 1.2, 1.5, 2.0, 2.66, 3.01, 4.17)),
    "cushion": Build(base=210, ratios=(1.0, 1.62, 2.4), strikes=((0.0, 1.0), (0.22, 0.8))),
}
RING = {
    "dry": (0.3, 0.0, 0.1),
    "short": (1.0, 0.35, 0.8),
    "long": (2.2, 0.6, 3.2),
}  # decay; tail: strength, seconds
BODY = {"hollow": (0.87, 1.15, 0.9), "even": (1.0, 1.0, 0.3), "solid": (1.15, 0.85, 0.0)}  # pitch, decay, air inside
AIR, AIR_SECONDS = 128.0, 0.28  # hertz of the air in a hollow body of middle size
OCTAVES_OF_SIZE = 0.75
COLOUR = 16.0  # decibels that a material lifts its own band


def make_sound(sound: Sound, seed: int, name: str) -> NDArray[np.float64]:
    """(LENGTH,) in -1..1: the sound as the shop recorded it. seed, name: of the small differences between two taps."""
    rng = stream(seed, f"sound {name}")
    wave = np.zeros(LENGTH)
    for number, (moment, strength) in enumerate(BUILDS[sound.family].strikes):
        turn = 0.86 if sound.family == "clock" and number % 2 else 1.0  # tick and tock
        _add(wave, strength * _tap(sound, rng, turn), moment + 0.02)
    if sound.family == "speaker":
        _play(sound, wave)
    wave = _colour(wave, SUBSTANCES[sound.material].knock[1])
    wave = wave / float(np.abs(wave).max()) + _voice(sound, rng)
    return 0.8 * wave / float(np.abs(wave).max())


def lowest(sound: Sound) -> float:
    """Frequency of the lowest mode in hertz."""
    base = BUILDS[sound.family].base * SUBSTANCES[sound.material].speed
    return base * 2 ** (OCTAVES_OF_SIZE * sound.height) * BODY[sound.body][0]


def decay(sound: Sound) -> float:
    """Seconds until the lowest mode is 60 dB down."""
    longer = 1.6 if sound.family == "bell" else 1.0
    return SUBSTANCES[sound.material].decay * RING[sound.ring][0] * BODY[sound.body][1] * longer


def _add(wave: NDArray[np.float64], part: NDArray[np.float64], moment: float) -> None:
    start = round(moment * RATE)
    part = part[: len(wave) - start]
    wave[start : start + len(part)] += part


def _mode(frequency: float, seconds: float, phase: float = 0.0) -> NDArray[np.float64]:
    """A damped sine, as long as it is within 70 dB of its start."""
    time = np.arange(min(LENGTH, int(1.17 * seconds * RATE) + 1)) / RATE
    return np.exp(-6.9 * time / seconds) * np.sin(2 * np.pi * frequency * time + phase)


def _tap(sound: Sound, rng: np.random.Generator, turn: float) -> NDArray[np.float64]:
    substance, wave = SUBSTANCES[sound.material], np.zeros(LENGTH)
    first, (_, tail, tail_seconds) = lowest(sound) * turn, RING[sound.ring]
    for ratio in BUILDS[sound.family].ratios:
        frequency, higher = first * ratio * (1 + 0.006 * rng.standard_normal()), max(ratio, 1.0)
        strength = 10 ** (substance.bright * np.log2(higher) / 20) * np.exp(0.2 * rng.standard_normal())
        phase = 6.28 * rng.random()
        if frequency < RATE / 2.2:
            _add(wave, strength * _mode(frequency, decay(sound) * higher**-substance.damping, phase), 0)
            if tail and ratio <= 2.4:
                _add(wave, tail * strength * _mode(frequency, tail_seconds, phase), 0)
    wave /= float(np.abs(wave).max())
    _add(wave, BODY[sound.body][2] * _mode(AIR * 2 ** (0.4 * sound.height), AIR_SECONDS), 0)
    amount, centre, length = substance.knock
    noise = rng.standard_normal(round(10 * length * RATE))
    noise = _band(noise, centre * 0.6, centre * 1.6) * np.exp(-np.arange(len(noise)) / RATE / length)
    _add(wave, amount * noise / float(np.abs(noise).max()), 0)
    return wave


def _colour(wave: NDArray[np.float64], centre: float) -> NDArray[np.float64]:
    """What a material gives to everything made of it, whatever its size: a broad resonance around `centre` hertz."""
    spectrum, frequency = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE)
    far = np.log2(np.maximum(frequency, 20) / centre)
    return np.fft.irfft(spectrum * 10 ** (COLOUR * np.exp(-(far**2)) / 20), len(wave))


def _play(sound: Sound, wave: NDArray[np.float64]) -> None:
    """Adds three notes of a speaker, coloured by its cabinet; they ring as long as the ring says."""
    bright = SUBSTANCES[sound.material].bright
    attack = 1 - np.exp(-np.arange(LENGTH) / RATE / 0.01)
    for place, step in enumerate((1.0, 1.25, 1.5)):
        for partial in (1, 2, 3, 4):
            note = _mode(2.2 * lowest(sound) * step * partial, 0.5 * RING[sound.ring][0] + 0.1)
            strength = 0.8 * 10 ** ((bright - 4) * np.log2(partial) / 20)
            _add(wave, strength * note * attack[: len(note)], 0.12 + 0.14 * place)


def _voice(sound: Sound, rng: np.random.Generator) -> NDArray[np.float64]:
    """What goes along with the tap: a hum that stays behind, or loose parts that jingle."""
    wave = np.zeros(LENGTH)
    if sound.voice == "humming":
        time = np.arange(LENGTH) / RATE
        for partial, strength in ((2, 1.0), (3, 0.7), (4, 0.4)):
            _add(wave, strength * _mode(98 * partial, 1.7), 0)
        return 0.22 * wave * (1 - np.exp(-time / 0.05)) * (1 + 0.6 * np.sin(2 * np.pi * 14 * time))
    if sound.voice == "jingling":
        for place in np.cumsum(0.05 + 0.06 * rng.random(10)):
            _add(wave, np.exp(-1.2 * place) * _mode(8300 + 1500 * rng.random(), 0.09), place)
        return 0.3 * wave
    return wave


def _band(wave: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """The part of a wave between two frequencies, with soft edges."""
    spectrum, frequency = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE)
    edge = np.exp(-((np.maximum(low - frequency, 0) + np.maximum(frequency - high, 0)) ** 2) / (0.5 * low) ** 2)
    return np.fft.irfft(spectrum * edge, len(wave))


def record_again(sound: Sound, seed: int, name: str) -> NDArray[np.float64]:
    """The same product tapped by a customer: another spot and strength, the echo of a room, noise, a phone's filter."""
    rng = stream(seed, f"customer sound {name}")
    wave = make_sound(replace(sound, height=sound.height + 0.06 * float(rng.standard_normal())), seed, name)
    echo = rng.standard_normal(LENGTH) * np.exp(-6.9 * np.arange(LENGTH) / RATE / (0.12 + 0.28 * float(rng.random())))
    echo[0] = 0
    wet = np.fft.irfft(np.fft.rfft(wave, 2 * LENGTH) * np.fft.rfft(echo, 2 * LENGTH))[:LENGTH]
    wave = wave + (0.06 + 0.14 * float(rng.random())) * wet / float(np.abs(wet).max())
    wave = np.roll(wave, round(RATE * 0.06 * float(rng.random())))
    hiss = _band(rng.standard_normal(LENGTH), 60, 2500)
    wave = wave + 10 ** (-(50 - 14 * float(rng.random())) / 20) * hiss / float(hiss.std())
    wave = _band(wave, 70 + 50 * float(rng.random()), 9600 + 1000 * float(rng.random()))
    return (0.45 + 0.4 * float(rng.random())) * wave / float(np.abs(wave).max())


def silence(seed: int, name: str) -> NDArray[np.float64]:
    """A file in which nothing can be heard: dither of a 16-bit recorder whose microphone was off."""
    return stream(seed, f"silent {name}").integers(-1, 2, LENGTH) / 32768


def encode(wave: NDArray[np.float64]) -> bytes:
    """Ogg Vorbis, mono, 22,050 Hz. Raises ModuleNotFoundError where `soundfile` is not installed."""
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, wave, RATE, format="OGG", subtype="VORBIS", compression_level=QUALITY)
    return target.getvalue()
