"""Sounds: bytes as they came -> one channel of 16 kHz without tags, or a SoundError with its code.

`read_sound` is the only reader, for page, command line and training; `read_sound_safely` runs it in a worker process
with a memory limit and a clock. Order of checks: size, empty, ending and signature, header values, duration, decode,
notices; the first that fails gives the code.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.catalog.names import shown_bytes, shown_name
from core.domain import Notice
from core.errors import SoundError
from core.limits import LIMITS, MB

READABLE = "WAV, FLAC, Ogg or MP3"
CODECS = "PCM of 8 to 32 bit, float, A-law, mu-law, FLAC, Vorbis, Opus, MP3"
ENDINGS = {
    "wav": "WAV", "wave": "WAV", "flac": "FLAC", "ogg": "OGG", "oga": "OGG", "opus": "OGG", "mp3": "MP3",
}  # fmt: skip
_WAV_CODECS = {1, 3, 6, 7, 0xFFFE}
_STREAMED = 0x7FFF0000  # a recorder that streams writes a length like this one, or more, and never comes back to it
_BLOCK = 1 << 16  # samples of a channel that are decoded at once
_SILENT = 1e-4  # of full scale: below -80 dB
_FULL, _CLIPPED = 0.999, 0.05  # level that counts as full scale, and the share of samples there that is told
_MP3_STARTS = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """samples (S,) float32 in [-1, 1], one channel, `rate` samples a second."""

    samples: NDArray[np.float32]
    rate: int = LIMITS.audio_kept_rate

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a header says: samples of one channel (as many as the bytes can hold, where that is known), their rate,
    channels, and whether the file holds fewer than it says."""

    frames: int
    rate: int
    channels: int
    short: bool = False


def read_sound(data: bytes, name: str) -> tuple[Sound, tuple[Notice, ...]]:
    """One channel at 16 kHz, and what a person should know about it. Raises SoundError with an E-AUD-* code."""
    shown = shown_name(name, "sound")
    ending = _ending(name)
    kind = _checked_kind(data, shown, ending)
    with _opened(data, shown, kind) as file:
        claim = _checked_claim(file, data, shown, kind)
        samples = _mixed(file, shown, claim)
    if len(samples) < LIMITS.audio_seconds_min * claim.rate:
        raise _refused("SHORT", shown, f"{len(samples) / claim.rate:.3f} s of sound",
                       f"at least {LIMITS.audio_seconds_min} s were expected. Record a longer one")  # fmt: skip
    sound = Sound(samples=resampled(samples, claim.rate, LIMITS.audio_kept_rate))
    return sound, tuple(_notices(samples, claim, shown, kind, ending))


def read_sound_safely(data: bytes, name: str) -> tuple[Sound, tuple[Notice, ...]]:
    """As `read_sound`, in a worker process; see `media_workers.read_safely`. Raises SoundError."""
    from core.catalog.media_workers import read_safely

    return read_safely("sound", data, name)


def prepare() -> None:
    """Loads the decoder."""
    import soundfile  # noqa: F401


def packed(sound: Sound) -> tuple[dict, bytes]:
    """A sound as it goes through a pipe."""
    return {"rate": sound.rate}, sound.samples.tobytes()


def unpacked(head: dict, body: bytes) -> Sound:
    return Sound(samples=np.frombuffer(body, dtype=np.float32), rate=int(head["rate"]))


def encode_sound(sound: Sound, *, exact: bool = False) -> bytes:
    """FLAC bytes of 16 bit made by us: samples and nothing else; `exact` gives a WAV of floats, the very samples."""
    import soundfile

    buffer = io.BytesIO()
    kind = {"format": "WAV", "subtype": "FLOAT"} if exact else {"format": "FLAC", "subtype": "PCM_16"}
    soundfile.write(buffer, np.clip(sound.samples, -1.0, 1.0), sound.rate, **kind)
    return buffer.getvalue()


def silence(sound: Sound, spans: list[tuple[float, float]]) -> Sound:
    """The sound with these stretches (seconds from, to) made silent: what-if. Its length stays."""
    samples = sound.samples.copy()
    for start, end in spans:
        samples[max(0, round(start * sound.rate)) : max(0, round(end * sound.rate))] = 0
    return Sound(samples=samples, rate=sound.rate)


def resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """(S,) at another rate, everything above the lower rate's half cut away: the Fourier method.

    In numpy, since a worker that has to load scipy.signal first is ready seconds later.
    """
    if rate == wanted:
        return np.ascontiguousarray(samples, dtype=np.float32)
    step = rate // gcd(rate, wanted)
    blocks = -(-(len(samples) + rate // 20) // step)  # silence behind keeps the end from ringing into the beginning
    even = 1 << max(0, blocks.bit_length() - 5)
    size = step * even * -(-blocks // even)  # a length without large prime factors
    out = size * wanted // rate
    heard = np.fft.rfft(samples.astype(np.float32), size)[: out // 2 + 1]
    made = np.fft.irfft(heard, out) * (out / size)
    return made[: -(-len(samples) * wanted // rate)].astype(np.float32)


def sound_kind(data: bytes) -> str:
    """WAV, FLAC, OGG or MP3 by the first bytes, "" for anything else."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "WAV"
    if data[:4] == b"fLaC":
        return "FLAC"
    if data[:4] == b"OggS":
        return "OGG"
    return "MP3" if data[:3] == b"ID3" or data[:2] in _MP3_STARTS else ""


# The checks


def _ending(name: str) -> str:
    found = re.search(r"\.([A-Za-z0-9]{1,8})\s*$", name)
    return found.group(1).lower() if found else ""


def _refused(reason: str, shown: str, came: str, then: str) -> SoundError:
    return SoundError(f"E-AUD-{reason}", f"{shown}: {came}; {then} and upload that.")


def _checked_kind(data: bytes, shown: str, ending: str) -> str:
    if len(data) > LIMITS.audio_bytes:
        raise _refused("SIZE", shown, f"{shown_bytes(len(data))} arrived",
                       f"at most {LIMITS.audio_bytes // MB} MB were expected. Save a shorter piece of it")  # fmt: skip
    if not data:
        raise _refused("EMPTY", shown, "the file is empty, 0 bytes arrived",
                       "a sound was expected. Copy it from its source again")  # fmt: skip
    if ending and ending not in ENDINGS:
        raise _refused("TYPE", shown, f'the name ends in ".{ending}"',
                       f"a sound in {READABLE} was expected. Save it as one of these")  # fmt: skip
    kind = sound_kind(data)
    if not kind:
        raise _refused("TYPE", shown, "this is no sound of a type known here",
                       f"{READABLE} was expected. Save it as one of these")  # fmt: skip
    return kind


def _opened(data: bytes, shown: str, kind: str) -> Any:
    codec = wav_codec(data) if kind == "WAV" else None
    if codec is not None and codec not in _WAV_CODECS:
        raise _refused("CODEC", shown, f"the sound is coded in a way (number {codec}) that is not read here",
                       f"one of {CODECS} was expected. Save it as plain WAV")  # fmt: skip
    import soundfile

    try:
        return soundfile.SoundFile(io.BytesIO(data))
    except Exception as error:  # a decoder may raise anything on a forged header
        raise _broken(shown, kind) from error


def _broken(shown: str, kind: str, what: str = "the sound is damaged and cannot be read") -> SoundError:
    return _refused("BROKEN", shown, what, f"a whole {kind} file was expected. Save it anew with a sound program")


def _checked_claim(file: Any, data: bytes, shown: str, kind: str) -> Claim:
    """What the header says, once it makes sense: nothing is divided by it or reserved for it before."""
    rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
    if not LIMITS.audio_rate_min <= rate <= LIMITS.audio_rate_max:
        raise _broken(shown, kind, f"the header claims {rate} samples a second")
    if not 1 <= channels <= LIMITS.audio_channels:
        raise _broken(shown, kind, f"the header claims {channels} channels")
    short = False
    if kind == "WAV" and (found := wav_data(data)) is not None:
        claimed, there, block = found
        short = there < claimed < _STREAMED
        frames = min(claimed, there) // block
    if frames <= 0:
        raise _broken(shown, kind, "the file holds no sound at all")
    if frames / rate > LIMITS.audio_seconds:
        raise _long(shown, f"{frames / rate:.0f} s of sound")
    return Claim(frames=frames, rate=rate, channels=channels, short=short)


def _long(shown: str, came: str) -> SoundError:
    return _refused("LONG", shown, came, f"at most {LIMITS.audio_seconds:g} s were expected. Cut out the part you mean")


def _mixed(file: Any, shown: str, claim: Claim) -> NDArray[np.float32]:
    """(S,) the mean of all channels, decoded block by block."""
    pieces, total, most = [], 0, int(LIMITS.audio_seconds * claim.rate)
    try:
        while total <= most:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)  # (n, channels)
            if not len(block):
                break
            pieces.append(block.mean(1, dtype=np.float32))
            total += len(block)
    except Exception as error:  # what a decoder raises on damaged data is not limited to its own errors
        raise _broken(shown, str(file.format)) from error
    if total > most:
        raise _long(shown, f"more than {LIMITS.audio_seconds:g} s of sound")
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise _broken(shown, str(file.format), "the file holds no sound at all")
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise _refused("VALUES", shown, f"sample {at} is no number",
                       "numbers from -1 to 1 were expected. Save it anew with a sound program")  # fmt: skip
    return samples


def _notices(samples: NDArray[np.float32], claim: Claim, shown: str, kind: str, ending: str) -> list[Notice]:
    """A file of another kind than its name says is told that alone: what its frames hold is not its fault."""
    level = np.abs(samples)
    if ending and ENDINGS[ending] != kind:
        return [_notice("NAME", f"is {kind}, although its name ends in .{ending}; it was read as what it is.", shown)]
    found = []
    if claim.short or (kind != "WAV" and len(samples) < 0.9 * claim.frames):
        there = len(samples) / claim.rate
        found.append(_notice("SHORT", f"ends earlier than it says; the {there:.1f} s that are there are used.", shown))
    if float(level.max()) < _SILENT:
        found.append(_notice("SILENT", "is silent; it is used, but can say little.", shown))
    elif float((level >= _FULL).mean()) > _CLIPPED:
        found.append(_notice("CLIP", "is cut off at full scale for much of its length; it is used as it is.", shown))
    return found


def _notice(reason: str, text: str, shown: str) -> Notice:
    return Notice(code=f"N-AUD-{reason}", message=text, where=shown)


# The header of a WAV, which the decoder does not hold against its file


def chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Name, place and claimed size of every chunk of a RIFF file up to its data."""
    found, at = [], 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        found.append((name, at + 8, size))
        if name == b"data":
            break
        at += 8 + size + size % 2
    return found


def wav_codec(data: bytes) -> int | None:
    for name, at, size in chunks(data):
        if name == b"fmt " and size >= 16 and at + 16 <= len(data):
            return int(struct.unpack_from("<H", data, at)[0])
    return None


def wav_data(data: bytes) -> tuple[int, int, int] | None:
    """Bytes of sound that a WAV claims, bytes that are there, and bytes a sample of all channels."""
    block = next((struct.unpack_from("<H", data, at + 12)[0] for name, at, size in chunks(data)
                  if name == b"fmt " and size >= 16 and at + 16 <= len(data)), 0)  # fmt: skip
    for name, at, size in chunks(data):
        if name == b"data" and block:
            return size, len(data) - at, block
    return None
