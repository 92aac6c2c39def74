"""Every picture of the bad-inputs corpus, through the reader that page, command and training use."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from core.catalog.names import shown_name
from core.catalog.photos import encode_photo, read_image, read_image_safely, read_images, thumbnail
from core.errors import PhotoError
from tests.corpus import expected, folder, name_of, need_corpus, outcome, rows_of, tool

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # our own check refuses those
need_corpus()
TOOL = tool()


@pytest.fixture(scope="session")
def corpus():
    return folder()


def data_of(corpus, file):
    return (corpus / "image" / file).read_bytes()


def picture(corpus, file):
    return read_image(data_of(corpus, file), file)[0]


@pytest.mark.parametrize("read", [read_image, read_image_safely])
@pytest.mark.parametrize("row", rows_of("image"))
def test_every_picture_gets_its_outcome_and_code(corpus, row, read):
    data, name = (corpus / row["file"]).read_bytes(), name_of(row)
    files = [(data, name)]
    if row["expected_code"] == "N-IMG-DUP":
        files.insert(0, (data_of(corpus, "197_same_photo_a.jpg"), "197_same_photo_a.jpg"))
    start = time.process_time()
    photos, notices = read_images(files, read=read)
    assert time.process_time() - start < 5
    codes = {notice.code for notice in notices}
    found = outcome(codes) if photos else ("refuse", ",".join(codes))
    assert found == expected(row), [notice.message for notice in notices]
    for photo in photos:
        assert photo.image.mode == "RGB" and max(photo.image.size) <= 1024
        assert photo.image.info == {} and not photo.image.getexif()


@pytest.mark.parametrize("row", [row for row in rows_of("image") if row.values[0]["expected_outcome"] == "refuse"])
def test_a_refused_picture_is_told_in_plain_words(corpus, row):
    with pytest.raises(PhotoError) as caught:
        read_image((corpus / row["file"]).read_bytes(), name_of(row))
    told = str(caught.value)
    assert told.startswith(f"{shown_name(name_of(row))}: ") and told.endswith(f"({row['expected_code']})")
    assert "expected" in told and str(corpus) not in told and "Error" not in told and "PIL" not in told


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_look_alike(corpus, orientation):
    image = picture(corpus, f"{140 + orientation}_orientation_{orientation}.jpg")
    assert image.size == (60, 40)
    red, others = image.getpixel((5, 5)), [image.getpixel(place) for place in ((55, 5), (5, 35), (55, 35))]
    assert red[0] > 180 and red[1] < 70
    assert all(abs(level - 120) < 12 for other in others for level in other)


def test_an_orientation_that_does_not_exist_is_ignored(corpus):
    assert picture(corpus, "149_orientation_99.jpg").size == (60, 40)


def test_cmyk_is_not_inverted(corpus):
    cmyk = ImageStat.Stat(picture(corpus, "121_cmyk.jpg")).mean
    plain = ImageStat.Stat(picture(corpus, "123_progressive.jpg")).mean
    assert all(abs(a - b) <= 3 for a, b in zip(cmyk, plain, strict=True))


def test_sixteen_bit_grey_is_divided_by_256(corpus):
    raw = Image.open(io.BytesIO(data_of(corpus, "124_grey_16bit.png")))
    assert raw.mode == "I;16"
    levels = raw.tobytes()[1::2]  # the upper bytes: value // 256
    assert picture(corpus, "124_grey_16bit.png").getchannel(0).tobytes() == levels
    assert ImageStat.Stat(picture(corpus, "124_grey_16bit.png")).mean[0] < 200


@pytest.mark.parametrize("file", ["126_alpha.png", "128_grey_alpha.png"])
def test_transparent_parts_are_laid_on_white(corpus, file):
    image = picture(corpus, file)  # alpha runs from 0 in the top row to 255 in the last
    assert ImageStat.Stat(image.crop((0, 0, image.width, 1))).mean == pytest.approx([255, 255, 255], abs=4)
    solid = Image.open(io.BytesIO(data_of(corpus, file))).convert("RGBA").convert("RGB")
    last = (0, image.height - 1, image.width, image.height)
    assert ImageStat.Stat(image.crop(last)).mean == pytest.approx(ImageStat.Stat(solid.crop(last)).mean, abs=4)


def test_the_transparent_colour_of_a_palette_is_white(corpus):
    raw = Image.open(io.BytesIO(data_of(corpus, "127_palette_alpha.png")))
    clear = [at for at, index in enumerate(raw.tobytes()) if index == 0]
    image = picture(corpus, "127_palette_alpha.png")
    pixels = image.tobytes()
    assert clear and all(pixels[3 * at : 3 * at + 3] == b"\xff\xff\xff" for at in clear)


@pytest.mark.parametrize("file", ["150_gps_and_script.jpg", "151_xmp_and_comment.jpg", "152_random_profile.png",
                                  "153_many_text_chunks.png", "194_also_a_zip.gif", "195_also_html.jpg",
                                  "196_also_a_zip.jpg"])  # fmt: skip
def test_a_stored_copy_holds_pixels_and_nothing_else(corpus, file):
    start = time.process_time()
    image = picture(corpus, file)
    assert time.process_time() - start < 1
    for stored in (encode_photo(image), thumbnail(image, 96), thumbnail(image, 320)):
        assert TOOL.CANARY.encode() not in stored and b"PK\3\4" not in stored and b"script" not in stored
        again = Image.open(io.BytesIO(stored))
        assert not again.getexif() and not {"exif", "xmp", "icc_profile", "comment"} & set(again.info)
        assert int.from_bytes(stored[4:8], "little") + 8 == len(stored)  # nothing behind the picture


def test_the_first_of_several_frames_is_used(corpus):
    raw = Image.open(io.BytesIO(data_of(corpus, "133_moving.png"))).convert("RGB")
    assert picture(corpus, "133_moving.png").tobytes() == raw.tobytes()


MEMORY_PROBE = """
import resource, sys
from pathlib import Path
from core.catalog.photos import read_image
from core.errors import PhotoError
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
read_image(Path(sys.argv[1]).read_bytes(), sys.argv[1])
before = peak()
for file in sys.argv[2:]:
    data = Path(file).read_bytes()
    try: read_image(data, file)
    except PhotoError: pass
print(peak() - before)
"""


def memory_growth(corpus, *files):
    """MB by which the peak of a fresh process grows while it reads `files`, after one small picture."""
    paths = [str(corpus / "image" / file) for file in ("100_ok.jpg", *files)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", MEMORY_PROBE, *paths], capture_output=True, cwd=root, check=True)
    return int(done.stdout)


def test_bombs_leave_memory_flat(corpus):
    bombs = [row.values[0]["file"].partition("/")[2] for row in rows_of("image")
             if row.values[0]["expected_code"] in ("E-IMG-BOMB", "E-IMG-PIXELS", "E-IMG-DIM")]  # fmt: skip
    assert len(bombs) >= 10
    assert memory_growth(corpus, *bombs) < 40


def test_a_phone_picture_of_48_megapixels_is_decoded_small(corpus):
    data = data_of(corpus, "172_phone_48_megapixels.jpg")
    start = time.process_time()
    image = read_image(data, "phone.jpg")[0]
    assert time.process_time() - start < 1
    assert image.size == (1024, 768)  # 8064 x 6048 keeps 4:3
    assert memory_growth(corpus, "172_phone_48_megapixels.jpg") < 100


def test_the_allowed_types_and_the_heic_extra_are_named(corpus):
    with pytest.raises(PhotoError, match="JPEG, PNG, WebP, GIF or AVIF"):
        picture(corpus, "189_tiff.png")
    with pytest.raises(PhotoError, match=r"HEIC.*pillow-heif"):
        picture(corpus, "192_photo.heic")


@pytest.mark.parametrize("row", [row for row in rows_of("image") if row.values[0]["upload_as"]])
def test_a_hostile_name_is_only_shown(row):
    shown = shown_name(name_of(row))
    assert len(shown) <= 80 and shown.isprintable() and not set(shown) & set("/\\") - {"\\"}
    assert "\u202e" not in shown and "\n" not in shown and "etc" not in shown
