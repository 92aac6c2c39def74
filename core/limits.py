"""Every limit of what may come in, typed once: readers check against these numbers, help texts print them."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000
GB = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bytes, pixels, characters, seconds and counts; a name ending in _bytes is in bytes, in _seconds in seconds."""

    upload_bytes: int = 50 * MB
    query_photos: int = 8
    query_sounds: int = 1
    query_clips: int = 1
    visitor_bytes: int = 100 * MB
    heavy_actions_a_minute: int = 60
    question_hours: int = 24  # words and media of a question that nobody kept live so long after it was last asked

    photo_bytes: int = 20 * MB
    photo_pixels: int = 25_000_000
    jpeg_pixels: int = 64_000_000  # a JPEG is decoded small, so that a phone's 48 MP cost no more than 1 MP
    bomb_pixels: int = 89_478_485  # above this Pillow itself speaks of a decompression bomb
    photo_side_min: int = 16
    photo_side_max: int = 16_384
    photo_aspect: int = 20
    photo_kept_side: int = 1024
    decode_seconds: float = 5.0
    decode_bytes: int = 1 * GB

    text_characters: int = 20_000
    text_marks: int = 8
    text_sentences: int = 48  # what stands beyond is not read by the encoder

    audio_bytes: int = 25 * MB
    audio_seconds_min: float = 0.1
    audio_seconds: float = 120.0
    audio_channels: int = 8
    audio_rate_min: int = 4_000
    audio_rate_max: int = 192_000
    audio_kept_rate: int = 16_000

    video_bytes: int = 50 * MB
    video_seconds: float = 60.0
    frame_pixels: int = 25_000_000
    frame_kept_side: int = 320
    clip_frames: int = 16  # kept of a film, spread evenly over its time
    clip_frames_min: int = 4
    clip_frames_a_second: int = 2
    clip_decoded_pixels: int = 600_000_000  # of a film with more in all its frames, only the key frames are decoded

    table_bytes: int = 50 * MB
    table_columns: int = 200
    table_rows: int = 1_000_000
    row_bytes: int = 1 * MB
    id_characters: int = 255

    zip_bytes: int = 50 * MB
    zip_entries: int = 10_000
    zip_unpacked_bytes: int = 2 * GB
    zip_ratio: int = 100
    zip_ratio_from_bytes: int = 1 * MB
    zip_name_bytes: int = 180
    path_zip_entries: int = 500_000
    path_unpacked_bytes: int = 50 * GB

    name_characters: int = 80
    problems_shown: int = 100
    queue_waiting: int = 20
    database_wait_seconds: float = 30.0


LIMITS = Limits()
