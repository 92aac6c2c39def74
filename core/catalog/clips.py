"""Films: bytes as they came -> a few upright frames with their times, or a ClipError with its code.

`read_clip` is the only reader, for page, command line and training; `read_clip_safely` runs it in a worker process with
a memory limit and a clock. Order of checks: size, empty, ending and signature (a film library is never left to guess,
and opens nothing else), tracks, duration, frame size, decode, notices; the first that fails gives the code.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.catalog.names import shown_bytes, shown_name
from core.domain import Notice
from core.errors import ClipError
from core.limits import LIMITS, MB

READABLE = "MP4, MOV, WebM, MKV or a moving GIF"
ENDINGS = {
    "mp4": "mov", "m4v": "mov", "mov": "mov", "qt": "mov", "webm": "matroska", "mkv": "matroska", "gif": "gif",
}  # fmt: skip
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_STILLS = {"mjpeg", "png", "bmp", "webp"}  # codecs of covers; Matroska may call one a track like any other
_TOP_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_SECOND = 1.0  # how long a film of one frame lasts
_STORED_QUALITY = "14"  # of H.264, 0 (the very pixels) to 51


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """frames (T, h, w, 3) uint8, upright, the long side at most 320; times (T,): seconds of each from the beginning;
    seconds: how long the film lasts; known (False where the film tells no times and these are only counted)."""

    frames: NDArray[np.uint8]
    times: tuple[float, ...]
    seconds: float
    known: bool = True

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.times):
            raise ValueError(f"{len(self.frames)} frames and {len(self.times)} times")

    def image(self, number: int) -> Image.Image:
        return Image.fromarray(self.frames[number])

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return tuple(self.image(number) for number in range(len(self.frames)))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the packets of a film say before any is decoded: `wanted` times of the frames to keep (or their numbers,
    where times do not grow), packets that must give a frame each, and whether only key frames are decoded."""

    wanted: tuple[float, ...]
    packets: int
    seconds: float
    by_time: bool
    keys_only: bool


def read_clip(data: bytes, name: str) -> tuple[Clip, tuple[Notice, ...]]:
    """At most 16 upright frames spread evenly over the film, and what a person should know about it.

    Raises ClipError with an E-VID-* code.
    """
    shown = shown_name(name, "clip")
    kind = _checked_kind(data, shown, _ending(name))
    av = _library(shown)
    try:
        with av.open(io.BytesIO(data), format=kind) as film:
            track = _picture_track(film, shown)
            plan, number = _plan(film, track, shown), track.index
        with av.open(io.BytesIO(data), format=kind) as film:
            frames, times, lost = _decoded(film, film.streams[number], plan)
    except (ClipError, MemoryError):
        raise
    except Exception as error:  # what a decoder raises on damaged data is not limited to its own errors
        raise _broken(shown) from error
    if not frames:
        raise _broken(shown, "not one frame of the film can be read")
    clip = Clip(frames=np.stack(frames), times=tuple(times), seconds=plan.seconds, known=plan.by_time)
    return clip, tuple(_notices(plan, lost, shown))


def read_clip_safely(data: bytes, name: str) -> tuple[Clip, tuple[Notice, ...]]:
    """As `read_clip`, in a worker process; see `media_workers.read_safely`. Raises ClipError."""
    from core.catalog.media_workers import read_safely

    return read_safely("clip", data, name)


def prepare() -> None:
    """Loads the decoder, where there is one."""
    import contextlib

    with contextlib.suppress(ImportError):
        import av  # noqa: F401


def packed(clip: Clip) -> tuple[dict, bytes]:
    """A clip as it goes through a pipe."""
    return {
        "shape": clip.frames.shape, "times": clip.times, "seconds": clip.seconds, "known": clip.known,
    }, clip.frames.tobytes()  # fmt: skip


def unpacked(head: dict, body: bytes) -> Clip:
    frames = np.frombuffer(body, dtype=np.uint8).reshape(head["shape"])
    return Clip(frames=frames, times=tuple(head["times"]), seconds=head["seconds"], known=head["known"])


def encode_clip(clip: Clip) -> bytes:
    """MP4 bytes made by us (H.264): these frames at their times, and nothing else. Sides become even."""
    import av

    height, width = (side - side % 2 for side in clip.frames.shape[1:3])
    buffer, base = io.BytesIO(), Fraction(1, 1000)
    ends = [*clip.times[1:], max(clip.seconds, clip.times[-1] + 0.04)]
    with av.open(buffer, "w", format="mp4") as film:
        track: Any = film.add_stream("libx264", rate=25, options={"crf": _STORED_QUALITY, "preset": "veryfast"})
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        track.codec_context.time_base = base
        for number, (start, end) in enumerate(zip(clip.times, ends, strict=True)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(clip.frames[number, :height, :width]), "rgb24")
            frame.pts, frame.time_base = round(start * 1000), base
            for packet in track.encode(frame):
                packet.duration = max(1, round((end - start) * 1000))
                film.mux(packet)
        for packet in track.encode(None):
            film.mux(packet)
    return buffer.getvalue()


def without_frames(clip: Clip, gone: Sequence[int]) -> Clip:
    """The clip without these frames: what-if. Raises ValueError where none is left."""
    left = [number for number in range(len(clip.frames)) if number not in set(gone)]
    if not left:
        raise ValueError("a clip keeps one frame at least")
    times = tuple(clip.times[number] for number in left)
    return Clip(frames=clip.frames[left], times=times, seconds=clip.seconds, known=clip.known)


def frames_in(clip: Clip, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of the frames that begin with one of these stretches of milliseconds; (-1, n) stands for frame n."""
    begins = {start for start, _ in spans}
    return [at for at, time in enumerate(clip.times) if round(1000 * time) in begins or (-1, at) in spans]


def film_kind(data: bytes) -> str:
    """mov, matroska or gif by the first bytes, "" for anything else."""
    if data[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    return "mov" if data[4:8] in _TOP_BOXES else ""


# The checks


def _ending(name: str) -> str:
    found = re.search(r"\.([A-Za-z0-9]{1,8})\s*$", name)
    return found.group(1).lower() if found else ""


def _refused(reason: str, shown: str, came: str, then: str) -> ClipError:
    return ClipError(f"E-VID-{reason}", f"{shown}: {came}; {then} and upload that.")


def _broken(shown: str, what: str = "the film is damaged and cannot be read") -> ClipError:
    return _refused("BROKEN", shown, what, "a whole film was expected. Save it anew with a film program")


def _checked_kind(data: bytes, shown: str, ending: str) -> str:
    if len(data) > LIMITS.video_bytes:
        raise _refused("SIZE", shown, f"{shown_bytes(len(data))} arrived",
                       f"at most {LIMITS.video_bytes // MB} MB were expected. Save a shorter piece of it")  # fmt: skip
    if not data:
        raise _refused("EMPTY", shown, "the file is empty, 0 bytes arrived",
                       "a film was expected. Copy it from its source again")  # fmt: skip
    if ending and ending not in ENDINGS:
        raise _refused("TYPE", shown, f'the name ends in ".{ending}"',
                       f"a film in {READABLE} was expected. Save it as one of these")  # fmt: skip
    kind = film_kind(data)
    if not kind:
        picture = data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        raise ClipError(
            "E-VID-TYPE",
            f"{shown}: this is {'a picture' if picture else 'no film of a type known here'}; {READABLE} was expected. "
            + ("Upload it as a photo." if picture else "Save it as one of these and upload that."),
        )
    return kind


def _library(shown: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise ClipError(
            "E-VID-EXTRA",
            f"{shown}: this installation cannot read films; the package av was expected. Install it with "
            "pip install av, or give photos.",
        ) from error
    return av


def _picture_track(film: Any, shown: str) -> Any:
    """The first track with moving pictures. A cover is none; nor is a track of stills, while there is another."""
    import av

    tracks = [one for one in film.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    if tracks:
        return min(tracks, key=lambda one: one.codec_context.name in _STILLS)
    sound = bool(film.streams.audio)
    raise ClipError(
        "E-VID-STREAM",
        f"{shown}: there is {'only sound' if sound else 'no picture track'} in it; a film was expected. "
        + ("Upload it as a sound." if sound else "Save it anew with a film program and upload that."),
    )


def _plan(film: Any, track: Any, shown: str) -> Plan:
    """Looks at the header and at every packet, decodes nothing. Raises E-VID-LONG and E-VID-PIXELS."""
    claimed = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
    claimed = claimed or float((film.duration or 0) / 1_000_000)
    if claimed > LIMITS.video_seconds:
        raise _long(shown, claimed)
    size = track.codec_context.width * track.codec_context.height
    if size > LIMITS.frame_pixels:
        raise _refused(
            "PIXELS", shown, f"{track.codec_context.width}x{track.codec_context.height} pixels a frame",
            f"at most {LIMITS.frame_pixels // 1_000_000} million were expected. Save a smaller copy",
        )  # fmt: skip
    times, keys, packets = [], [], 0
    for packet in film.demux(track):
        if packet.size:
            packets += 1
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None:
                times.append(float(stamp * packet.time_base))
                keys += [times[-1]] if packet.is_keyframe else []
                if times[-1] - times[0] > LIMITS.video_seconds:
                    raise _long(shown, times[-1] - times[0])
    if size < 1 or not packets:
        raise _broken(shown)
    keys_only = packets * size > LIMITS.clip_decoded_pixels and len(keys) > 1
    plan = _spread(sorted(keys if keys_only else times), packets if not keys_only else len(keys), claimed, keys_only)
    late = max(0.0, min(times, default=0.0)) if _from_zero(film) else 0.0
    return replace(plan, seconds=plan.seconds + late)


def _spread(times: Sequence[float], packets: int, claimed: float, keys_only: bool) -> Plan:
    """Frames in the middle of equal stretches of time; by number where times do not grow; all, where they are few."""
    by_time = len(times) == packets and (packets == 1 or times[-1] > times[0])
    lasts = times[-1] - times[0] if by_time and packets > 1 else 0.0
    seconds = max(claimed, lasts + lasts / max(1, packets - 1)) or _SECOND
    wanted = round(LIMITS.clip_frames_a_second * seconds)
    count = min(packets, max(LIMITS.clip_frames_min, min(LIMITS.clip_frames, wanted)))
    if not by_time:
        places = [(2 * number + 1) * packets // (2 * count) for number in range(count)]
        return Plan(wanted=tuple(map(float, places)), packets=packets, seconds=seconds, by_time=False,
                    keys_only=keys_only)  # fmt: skip
    chosen = times
    if count < packets:
        end = times[0] + max(lasts, 1e-9)
        middles = [times[0] + (number + 0.5) * (end - times[0]) / count for number in range(count)]
        order = np.asarray(times)
        chosen = sorted({times[min(int(np.searchsorted(order, middle)), packets - 1)] for middle in middles})
    return Plan(wanted=tuple(chosen), packets=packets, seconds=seconds, by_time=True, keys_only=keys_only)


def _long(shown: str, seconds: float) -> ClipError:
    return _refused("LONG", shown, f"the film lasts {seconds:.0f} s",
                    f"at most {LIMITS.video_seconds:g} s were expected. Cut out the part you mean")  # fmt: skip


def _from_zero(film: Any) -> bool:
    """Whether the film begins at 0 of its clock (MP4), and not where its maker's clock happened to be."""
    return "mov" in film.format.name


def _decoded(film: Any, track: Any, plan: Plan) -> tuple[list[NDArray[np.uint8]], list[float], int]:
    """The first frame at or after each wanted time, its time from the beginning, and how many packets are damaged."""
    track.codec_context.thread_count = 1  # every thread holds frames of its own
    if plan.keys_only:
        track.codec_context.skip_frame = "NONKEY"
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    damaged: list[Exception] = []
    at, begins = 0, 0.0 if _from_zero(film) else None
    for number, frame in enumerate(_frames(film, track, damaged)):
        stamp = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
        begins = stamp if begins is None else begins
        place = stamp if plan.by_time else float(number)
        if at < len(plan.wanted) and place >= plan.wanted[at] - 1e-6:
            frames.append(_upright(frame, frames[0].shape if frames else None))
            counted = place * plan.seconds / max(1, plan.packets)
            times.append(max(0.0, stamp - begins) if plan.by_time else counted)
            while at < len(plan.wanted) and place >= plan.wanted[at] - 1e-6:
                at += 1
    return frames, times, len(damaged)


def _frames(film: Any, track: Any, damaged: list[Exception]) -> Iterator[Any]:
    """Frames in the order they are shown; a packet that cannot be decoded costs its own frame alone, and is listed."""
    import av

    for packet in film.demux(track):
        try:
            yield from packet.decode()
        except av.error.FFmpegError as error:
            damaged.append(error)


def _upright(frame: Any, shape: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """(h, w, 3), turned as the film says, small; of the shape of the frames before, should the size change."""
    width, height = frame.width, frame.height
    scale = min(1.0, LIMITS.frame_kept_side / max(width, height))
    small = frame.reformat(width=max(1, round(width * scale)), height=max(1, round(height * scale)), format="rgb24")
    turned = np.rot90(small.to_ndarray(), round(frame.rotation / 90) % 4)
    if shape is not None and turned.shape != shape:
        turned = np.asarray(Image.fromarray(np.ascontiguousarray(turned)).resize((shape[1], shape[0])))
    return np.ascontiguousarray(turned)


def _notices(plan: Plan, lost: int, shown: str) -> list[Notice]:
    found = []
    if not plan.by_time:
        text = "tells no times; its frames are counted instead."
        found.append(Notice(code="N-VID-RATE", message=text, where=shown))
    if lost:
        there = max(0, plan.packets - lost)
        text = f"is damaged in places; {there} of {plan.packets} frames can be read, and these are used."
        found.append(Notice(code="N-VID-FRAME", message=text, where=shown))
    return found
