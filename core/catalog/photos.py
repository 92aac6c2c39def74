"""Pictures: bytes as they came -> one upright RGB picture without metadata, or a PhotoError with its code.

`read_image` is the only reader, for page, command line and training. `read_image_safely` runs the same function in a
worker process with a memory limit and a clock. Order of checks: size, empty, ending and signature, open with that one
format, bomb, pixels, sides, load, notices; the first that fails gives the code.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image, ImageStat, features

from core.catalog.names import shown_bytes, shown_name
from core.domain import Notice
from core.errors import PhotoError
from core.limits import LIMITS, MB

READABLE = "JPEG, PNG, WebP, GIF or AVIF"
ENDINGS = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "apng": "PNG", "webp": "WEBP",
    "gif": "GIF", "avif": "AVIF", "heic": "HEIF", "heif": "HEIF",
}  # fmt: skip
_SPOKEN = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "GIF": "GIF", "AVIF": "AVIF", "HEIF": "HEIC"}
_OTHER_TYPES = (
    (b"%PDF", "a PDF document"), (b"%!PS", "a PostScript drawing"), (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"), (b"MM\0*", "a TIFF picture"), (b"\0\0\1\0", "an icon file"),
    (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"PK\3\4", "a zip archive"), (b"\x1f\x8b", "a gzip archive"),
)  # fmt: skip
_FLAT = 2.0  # standard deviation, of 255 levels, up to which a picture counts as a plain surface
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `_check_size` refuses those itself
ImageReader = Callable[[bytes, str], tuple[Image.Image, tuple[Notice, ...]]]


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture that was read: its pixels, the sha256 of the bytes that came, and its name fit for the screen."""

    image: Image.Image
    digest: str
    name: str
    position: int


def read_image(data: bytes, name: str) -> tuple[Image.Image, tuple[Notice, ...]]:
    """One upright RGB picture, its long side at most 1024, without metadata; and what a person should know about it.

    Raises PhotoError with an E-IMG-* code.
    """
    shown = shown_name(name, "photo")
    ending = _ending(name)
    kind = _checked_kind(data, shown, ending)
    opened = _opened(data, shown, kind)
    try:
        moving = _is_moving(opened)
        image = _loaded(opened, data, shown, kind)
    finally:
        opened.close()
    notices = []
    if moving:
        notices.append(Notice(code="N-IMG-FRAME", message="holds several pictures; the first is used.", where=shown))
    if ending and ENDINGS[ending] != kind:
        text = f"is a {_SPOKEN[kind]} picture, although its name ends in .{ending}; it was read as what it is."
        notices.append(Notice(code="N-IMG-NAME", message=text, where=shown))
    if max(ImageStat.Stat(image.resize((64, 64), Image.Resampling.BOX)).stddev) <= _FLAT:
        text = "shows almost nothing but one colour; it is used, but can say little."
        notices.append(Notice(code="N-IMG-FLAT", message=text, where=shown))
    return image, tuple(notices)


def read_images(
    files: Iterable[tuple[bytes, str]], *, read: ImageReader = read_image, at_most: int = LIMITS.query_photos
) -> tuple[tuple[Photo, ...], tuple[Notice, ...]]:
    """The good pictures of several files, each once, and a notice for each refused (E-) or remarkable (N-) one."""
    photos: dict[str, Photo] = {}
    notices: list[Notice] = []
    total = 0
    for position, (data, name) in enumerate(files):
        shown = shown_name(name, "photo")
        if position == at_most:
            text = f"more than {at_most} pictures arrived; the first {at_most} are used. Leave the others out."
            notices.append(Notice(code="E-FILE-COUNT", message=text, where=shown))
            break
        total += len(data)
        if total > LIMITS.visitor_bytes:
            text = (
                f"{shown_bytes(total)} arrived in all; at most {LIMITS.visitor_bytes // MB} MB can be held. "
                "This picture and the later ones were left out; use fewer or smaller ones."
            )
            notices.append(Notice(code="E-FILE-TOTAL", message=text, where=shown))
            break
        digest = hashlib.sha256(data).hexdigest()
        if digest in photos:
            text = f"is the same picture as {photos[digest].name}; it is used once."
            notices.append(Notice(code="N-IMG-DUP", message=text, where=shown))
            continue
        try:
            image, told = read(data, name)
        except PhotoError as error:
            notices.append(Notice(code=error.code, message=error.message.removeprefix(f"{shown}: "), where=shown))
            continue
        photos[digest] = Photo(image=image, digest=digest, name=shown, position=position)
        notices.extend(told)
    return tuple(photos.values()), tuple(notices)


def encode_photo(image: Image.Image) -> bytes:
    """WebP bytes made by us: nothing but pixels, so no metadata, no tail and no second picture."""
    buffer = io.BytesIO()
    _plain(image).save(buffer, "WEBP", quality=90, method=4)
    return buffer.getvalue()


def thumbnail(image: Image.Image, side: int = 96) -> bytes:
    """WebP bytes of the whole picture with a long side of at most `side` pixels."""
    small = _plain(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()


def read_image_safely(data: bytes, name: str) -> tuple[Image.Image, tuple[Notice, ...]]:
    """As `read_image`, in a worker process; see `media_workers.read_safely`. Raises PhotoError."""
    from core.catalog.media_workers import read_safely

    return read_safely("photo", data, name)


def packed(image: Image.Image) -> tuple[dict, bytes]:
    """A picture as it goes through a pipe."""
    return {"size": image.size}, image.tobytes()


def unpacked(head: dict, body: bytes) -> Image.Image:
    return Image.frombytes("RGB", tuple(head["size"]), body)


# The checks


def _ending(name: str) -> str:
    found = re.search(r"\.([A-Za-z0-9]{1,8})\s*$", name)
    return found.group(1).lower() if found else ""


def photo_kind(data: bytes) -> str:
    """JPEG, PNG, GIF, WEBP, AVIF or HEIF by the first bytes, "" for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        box = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
        brands = {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "HEIF"
    return ""


def _checked_kind(data: bytes, shown: str, ending: str) -> str:
    if len(data) > LIMITS.photo_bytes:
        raise PhotoError(
            "E-IMG-SIZE",
            f"{shown}: {shown_bytes(len(data))} arrived; at most {LIMITS.photo_bytes // MB} "
            "MB were expected. Save a smaller copy and upload that.",
        )
    if not data:
        raise PhotoError(
            "E-IMG-EMPTY",
            f"{shown}: the file is empty, 0 bytes arrived; a picture was expected. "
            "Copy it from its source again and upload that.",
        )
    if ending and ending not in ENDINGS:
        raise PhotoError(
            "E-IMG-TYPE",
            f'{shown}: the name ends in ".{ending}"; a {READABLE} picture was expected. '
            "Save it as one of these and upload that.",
        )
    kind = photo_kind(data)
    if kind == "HEIF" and not _can_read_heic():
        raise PhotoError(
            "E-IMG-TYPE",
            f"{shown}: this is an HEIC picture; a {READABLE} picture was expected. Save it "
            'as JPEG, or install the extra "heic" (package pillow-heif) to read HEIC.',
        )
    if not kind or (kind == "AVIF" and not features.check("avif")):
        raise PhotoError(
            "E-IMG-TYPE",
            f"{shown}: this is {_what_it_is(data)}; a {READABLE} picture was expected. "
            "Save it as one of these and upload that.",
        )
    return kind


def _what_it_is(data: bytes) -> str:
    for start, words in _OTHER_TYPES:
        if data.startswith(start):
            return words
    head = data[:1_000].lower()
    if b"<svg" in head:
        return "an SVG drawing"
    return "a web page" if b"<html" in head or b"<!doctype" in head else "no picture type known here"


def _can_read_heic() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _opened(data: bytes, shown: str, kind: str) -> Image.Image:
    """Header read, nothing decoded; pixels, sides and aspect are within the limits."""
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
        width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(shown) from error
    except Exception as error:  # a decoder may raise anything on a forged header
        raise _decoder_refused(error, data, shown, kind, opening=True) from error
    try:
        _check_size(shown, kind, width, height)
    except PhotoError:
        image.close()
        raise
    return image


def _check_size(shown: str, kind: str, width: int, height: int) -> None:
    if width * height > LIMITS.bomb_pixels:
        raise _bomb(shown, f"claims {width}x{height} pixels")
    most = LIMITS.jpeg_pixels if kind == "JPEG" else LIMITS.photo_pixels
    if width * height > most:
        raise PhotoError(
            "E-IMG-PIXELS",
            f"{shown}: {width}x{height} pixels; at most {most // 1_000_000} million were "
            "expected. Save a smaller copy and upload that.",
        )
    if min(width, height) < 1:
        raise PhotoError(
            "E-IMG-BROKEN",
            f"{shown}: the picture says it is {width}x{height} pixels; a whole picture "
            "was expected. Save it anew and upload that.",
        )
    if min(width, height) < LIMITS.photo_side_min or max(width, height) > LIMITS.photo_side_max:
        raise PhotoError(
            "E-IMG-DIM",
            f"{shown}: {width}x{height} pixels; sides of {LIMITS.photo_side_min} to "
            f"{LIMITS.photo_side_max} were expected. Save it in that size and upload it.",
        )
    if max(width, height) > LIMITS.photo_aspect * min(width, height):
        raise PhotoError(
            "E-IMG-DIM",
            f"{shown}: {width}x{height} pixels; one side at most {LIMITS.photo_aspect} times "
            "the other was expected. Cut it to the part that matters and upload that.",
        )


def _bomb(shown: str, what: str = "expands far beyond its size on disk") -> PhotoError:
    return PhotoError(
        "E-IMG-BOMB",
        f"{shown}: the file {what}; at most {LIMITS.photo_pixels // 1_000_000} million "
        "pixels were expected. Save it anew with a picture program and upload that.",
    )


def _decoder_refused(error: Exception, data: bytes, shown: str, kind: str, opening: bool = False) -> PhotoError:
    told = str(error).lower()
    if isinstance(error, MemoryError) or "decompressed data too large" in told or "too much memory" in told:
        return _bomb(shown)
    riff_ends_early = kind == "WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8
    if ("truncated" in told and not opening) or riff_ends_early:
        return PhotoError(
            "E-IMG-TRUNC",
            f"{shown}: the picture ends early, {shown_bytes(len(data))} arrived; a "
            f"complete {_SPOKEN[kind]} was expected. Copy it from its source again, or save it anew, "
            "and upload that.",
        )
    return PhotoError(
        "E-IMG-BROKEN",
        f"{shown}: the picture is damaged and cannot be read; a whole {_SPOKEN[kind]} "
        "was expected. Save it anew with a picture program and upload that.",
    )


def _is_moving(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame does not matter, the first is used
        return False


def _loaded(image: Image.Image, data: bytes, shown: str, kind: str) -> Image.Image:
    try:
        if kind == "JPEG":
            image.draft("RGB", (LIMITS.photo_kept_side, LIMITS.photo_kept_side))
        image.load()
        turn = _orientation(image)
        flat = _small_on_white(image)
        turned = flat.transpose(_TURNS[turn]) if turn in _TURNS else flat
        return _plain(turned)
    except Exception as error:  # what a decoder raises on damaged data is not limited to OSError
        raise _decoder_refused(error, data, shown, kind) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # unreadable metadata is dropped, not a reason to refuse the pixels
        return 1


def _small_on_white(image: Image.Image) -> Image.Image:
    """RGB, at most 1024 pixels long, transparent parts white; 16-bit grey keeps its upper eight bits."""
    if image.mode.startswith("I;16"):
        high = 0 if image.mode.endswith("B") else 1
        image = Image.frombytes("L", image.size, image.tobytes()[high::2])
    elif image.mode == "I":
        image = image.point(lambda level: level / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image.thumbnail((LIMITS.photo_kept_side, LIMITS.photo_kept_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _plain(image: Image.Image) -> Image.Image:
    """The pixels alone: no info, no EXIF, no profile, no link to the file."""
    upright = image if image.mode == "RGB" else image.convert("RGB")
    return Image.frombytes("RGB", upright.size, upright.tobytes())
