"""Our own copies of what a person gives: read by the one reader of its modality and encoded again, without metadata."""

from __future__ import annotations

from collections.abc import Mapping

from core.domain import Modality

CALLED: Mapping[Modality, str] = {"image": "photo", "audio": "sound", "video": "clip"}


def own_copy(modality: Modality, data: bytes, name: str) -> bytes:
    """WebP of a photo, FLAC of a sound (one channel, 16 kHz), MP4 of the frames that are kept of a clip.

    Raises PhotoError, SoundError or ClipError.
    """
    if modality == "audio":
        from core.catalog.sounds import encode_sound, read_sound_safely

        return encode_sound(read_sound_safely(data, name)[0])
    if modality == "video":
        from core.catalog.clips import encode_clip, read_clip_safely

        return encode_clip(read_clip_safely(data, name)[0])
    from core.catalog.photos import encode_photo, read_image_safely

    return encode_photo(read_image_safely(data, name)[0])


def is_bare(data: bytes) -> bool:
    """Whether a WebP file is one lossy picture and nothing else, as `encode_photo` writes them."""
    size = int.from_bytes(data[16:20], "little")
    return data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8 " and len(data) == 20 + size + size % 2


def ending(data: bytes) -> str:
    """How the name of such a copy ends."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:4] == b"fLaC":
        return "flac"
    if data[4:8] == b"ftyp":
        return "mp4"
    return "png" if data[:4] == b"\x89PNG" else "jpg"
