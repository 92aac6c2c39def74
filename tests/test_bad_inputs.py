"""Every picture, text, table and archive of the bad-inputs corpus, through the readers that page and command use."""

import csv
import importlib.util
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from core.catalog.archive import unpack_archive
from core.catalog.folder import read_folder
from core.catalog.names import shown_name
from core.catalog.photos import encode_photo, read_image, read_image_safely, read_images, thumbnail
from core.catalog.verify import verify_media
from core.catalog.words import clean_text
from core.errors import FusescopeError, PhotoError, TextError

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # our own check refuses those
TOOL = Path(__file__).resolve().parents[2] / "shared" / "tools" / "make_bad_inputs.py"
if not TOOL.is_file():
    pytest.skip("the corpus generator ../shared/tools/make_bad_inputs.py is not there", allow_module_level=True)

GROUPS = (
    "damaged_images", "image_modes", "image_metadata", "image_sizes", "disguised_images", "image_names",
    "text_amounts", "text_scripts", "text_attacks", "text_encodings",
    "table_encodings", "table_structure", "table_values", "json_lines", "parquet_files", "disguised_tables",
    "archive_attacks", "archive_damage",
)  # fmt: skip
EXIF_ORIENTATION = 0x0112


def load_tool():
    """The generator as a module, cut down to the kinds that are tested here."""
    spec = importlib.util.spec_from_file_location("make_bad_inputs", TOOL)
    tool = importlib.util.module_from_spec(spec)
    sys.modules["make_bad_inputs"] = tool
    spec.loader.exec_module(tool)
    tool.GROUPS = tuple(group for group in tool.GROUPS if group.__name__ in GROUPS)
    return tool


TOOL_MODULE = load_tool()
CASES = TOOL_MODULE.all_cases(seed=7)


def rows_of(kind):
    rows = [case.row() for case in CASES]
    return [pytest.param(row, id=row["file"]) for row in rows if row["kind"] == kind]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_inputs")
    TOOL_MODULE.write_corpus(folder, CASES)
    return folder


def name_of(row):
    upload_as = json.loads(f'"{row["upload_as"]}"')
    return upload_as or row["file"].partition("/")[2].partition("_")[2]


def outcome(codes):
    return ("accept-with-notice" if codes else "accept", ",".join(sorted(codes)))


def expected(row):
    return row["expected_outcome"], row["expected_code"]


def data_of(corpus, file):
    return (corpus / "image" / file).read_bytes()


def picture(corpus, file):
    return read_image(data_of(corpus, file), file)[0]


# Pictures


@pytest.mark.parametrize("read", [read_image, read_image_safely])
@pytest.mark.parametrize("row", rows_of("image"))
def test_every_picture_gets_its_outcome_and_code(corpus, row, read):
    data, name = (corpus / row["file"]).read_bytes(), name_of(row)
    files = [(data, name)]
    if row["expected_code"] == "N-IMG-DUP":
        files.insert(0, (data_of(corpus, "197_same_photo_a.jpg"), "197_same_photo_a.jpg"))
    start = time.perf_counter()
    photos, notices = read_images(files, read=read)
    assert time.perf_counter() - start < 5
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
    start = time.perf_counter()
    image = picture(corpus, file)
    assert time.perf_counter() - start < 1
    for stored in (encode_photo(image), thumbnail(image, 96), thumbnail(image, 320)):
        assert TOOL_MODULE.CANARY.encode() not in stored and b"PK\3\4" not in stored and b"script" not in stored
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
    start = time.perf_counter()
    image = read_image(data, "phone.jpg")[0]
    assert time.perf_counter() - start < 1
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


# Texts


@pytest.mark.parametrize("row", rows_of("text"))
def test_every_text_gets_its_outcome_and_code(corpus, row):
    try:
        _, notices = clean_text((corpus / row["file"]).read_bytes(), row["file"])
        found = outcome({notice.code for notice in notices})
    except TextError as error:
        found = "refuse", error.code
    assert found == expected(row)


def cleaned(corpus, file):
    return clean_text((corpus / "text" / file).read_bytes(), file)


def test_the_cut_falls_between_graphemes(corpus):
    assert len(cleaned(corpus, "205_at_limit.txt")[0]) == 20_000
    assert len(cleaned(corpus, "206_over_limit.txt")[0]) == 20_000
    text, notices = cleaned(corpus, "207_cut_inside_emoji.txt")
    assert len(text) == 20_000 - 3 and not set(text) & set(TOOL_MODULE.FAMILY)
    assert "20 008" in notices[0].message and "19 997" in notices[0].message


@pytest.mark.parametrize(("file", "text"), [
    ("208_emoji.txt", f"Great {TOOL_MODULE.FAMILY} gift \U0001f1eb\U0001f1f7 \U0001f44d\U0001f3fd!"),
    ("210_bidi_override.txt", "good txet desrever end x"),
    ("211_invisible.txt", "warm lamp end"),
    ("212_nul.txt", "warmlamp"),
    ("213_controls.txt", "warm red  lamp"),
    ("214_lone_surrogate.txt", "warm \ufffd lamp"),
    ("215_composed.txt", "caf\u00e9 cr\u00e8me"),
    ("215_decomposed.txt", "caf\u00e9 cr\u00e8me"),
    ("216_mojibake.txt", "caf\u00e9 cr\u00e8me \u2013 very good"),
    ("222_sql.txt", "'; DROP TABLE item; -- \" OR 1=1"),
    ("224_personal.txt", "[mail], [phone], card [card], IBAN [IBAN]"),
    ("226_utf16.txt", "warme Lampe f\u00fcr den Tisch"),
    ("228_line_breaks.txt", "one\ntwo\nthree\nfour\nfive\nsix"),
    ("231_null_words.txt", "null None NaN undefined true"),
])  # fmt: skip
def test_what_is_left_of_a_text(corpus, file, text):
    assert cleaned(corpus, file)[0] == text


def test_at_most_eight_marks_stay_on_a_letter(corpus):
    text = cleaned(corpus, "218_stacked_marks.txt")[0]
    assert text.startswith("w") and text.endswith("arm lamp") and 1 <= len(text) - len("warm lamp") <= 8


def test_markup_stays_literal(corpus):
    assert cleaned(corpus, "219_markup.txt")[0] == (corpus / "text/219_markup.txt").read_text().strip()


def test_the_byte_that_is_not_utf8_is_named(corpus):
    with pytest.raises(TextError, match="byte 13"):
        cleaned(corpus, "227_latin1.txt")


# Tables


def import_table(corpus, row, folder):
    """The table alone as a catalogue; interactions come with the three items of the control."""
    source = corpus / row["file"]
    data = source.read_bytes()
    if b"user_id" in data[:20]:
        (folder / "items.csv").write_bytes((corpus / "table/300_items.csv").read_bytes())
        (folder / "interactions.csv").write_bytes(data)
    else:
        (folder / f"items{source.suffix}").write_bytes(data)
    if "picture_paths" in row["file"]:
        (folder / "photos").mkdir()
        (folder / "photos/a1.jpg").write_bytes((corpus / "image/100_ok.jpg").read_bytes())
    return read_folder(folder, "corpus")


@pytest.mark.parametrize("row", rows_of("table"))
def test_every_table_gets_its_outcome_and_code(corpus, row, tmp_path):
    try:
        _, report = import_table(corpus, row, tmp_path)
        codes = {found.code for found in report.refused + report.notices}
        found = outcome(codes | {code for code in report.cleaned if code.startswith("N-")})
    except FusescopeError as error:
        assert str(tmp_path) not in str(error)
        found = "refuse", error.code
    assert found == expected(row)


@pytest.mark.parametrize(("file", "items", "interactions"), [
    ("300_items.csv", 3, 0), ("300_interactions.csv", 3, 3), ("300_items.jsonl", 3, 0), ("300_items.parquet", 200, 0),
    ("308_mixed_line_ends.csv", 3, 0), ("311_one_extra_field.csv", 2, 0), ("313_nul_in_cell.csv", 2, 0),
    ("314_unclosed_quote.csv", 1, 0), ("317_ids_that_look_like_numbers.csv", 8, 0),
    ("321_ids_that_look_alike.csv", 4, 0),
    ("323_ratings.csv", 3, 4), ("324_timestamps_odd.csv", 3, 4), ("325_timestamps_bad.csv", 3, 1),
    ("329_unknown_item.csv", 3, 1), ("330_picture_paths.csv", 7, 0), ("331_last_line_cut.jsonl", 2, 0),
    ("334_odd_values.jsonl", 2, 0), ("336_not_objects.jsonl", 1, 0), ("339_line_separator_in_text.jsonl", 2, 0),
    ("348_other_types.parquet", 200, 0), ("356_same_user_and_item.csv", 3, 1), ("358_quoted_line_breaks.csv", 1, 0),
])  # fmt: skip
def test_how_many_rows_are_kept(corpus, file, items, interactions, tmp_path):
    catalogue, report = import_table(corpus, {"file": f"table/{file}"}, tmp_path)
    assert (len(catalogue.items), len(catalogue.interactions)) == (items, interactions)
    assert (report.items, report.interactions) == (items, interactions)


def test_ids_and_words_that_look_like_something_else_stay_text(corpus, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ids = import_table(corpus, {"file": "table/317_ids_that_look_like_numbers.csv"}, tmp_path / "a")[0]
    assert [item.item_id for item in ids.items] == [
        "00123", "1.0", "1e5", "12345678901234567890", "-0", "1_000", "TRUE", "MAR-01"
    ]  # fmt: skip
    words = import_table(corpus, {"file": "table/322_null_words.csv"}, tmp_path / "b")[0]
    assert [item.title for item in words.items] == ["NA", "None", "NaN"]


def test_the_earliest_of_two_meetings_is_kept(corpus, tmp_path):
    catalogue, _ = import_table(corpus, {"file": "table/356_same_user_and_item.csv"}, tmp_path)
    assert catalogue.interactions[0].rating == 5


def test_times_are_stored_in_utc_milliseconds(corpus, tmp_path):
    catalogue, _ = import_table(corpus, {"file": "table/324_timestamps_odd.csv"}, tmp_path)
    day = 19_783 * 86_400_000  # 2024-03-01 is day 19 783 after 1970-01-01
    assert [met.timestamp for met in catalogue.interactions][1:] == [0, day + 16_200_000, day + 36_000_000]


def test_the_row_and_line_of_an_unclosed_quote_are_named(corpus, tmp_path):
    _, report = import_table(corpus, {"file": "table/314_unclosed_quote.csv"}, tmp_path)
    assert report.refused[0].where == "items.csv, row 2 (line 3)"


def test_formulas_are_kept_and_escaped_in_the_rejects_file(corpus, tmp_path):
    header, cell = "item_id,title\n", '=HYPERLINK("http://example.invalid")'
    (tmp_path / "items.csv").write_text(f'{header}a1,"Kettle"\n,"x"\n"a2","y","z"\n')
    (tmp_path / "interactions.csv").write_text('user_id,item_id\nu1,"' + cell.replace('"', '""') + '"\n')
    _, report = read_folder(tmp_path, "x")
    rejects = list(csv.DictReader(io.StringIO(report.write_rejects(tmp_path / "rejects.csv").read_text())))
    assert [row["code"] for row in rejects] == [found.code for found in report.refused]
    assert "'" + cell in [row["value"] for row in rejects]


# Archives


def import_archive(corpus, row, folder):
    """The catalogue of an archive, its import report and every code that came up on the way, decoding included."""
    unpacked = unpack_archive(corpus / row["file"], folder)
    catalogue, report = read_folder(unpacked.folder, "corpus")
    problems = (*unpacked.problems, *report.refused, *report.notices, *verify_media(catalogue, read=read_image))
    return catalogue, problems


@pytest.mark.parametrize("row", rows_of("archive"))
def test_every_archive_gets_its_outcome_and_code(corpus, row, tmp_path):
    target = tmp_path / "in" / "here"
    target.mkdir(parents=True)
    try:
        _, problems = import_archive(corpus, row, target)
        found = outcome({problem.code for problem in problems})
        if row["expected_code"] in ("E-ZIP-CRC",):  # the item whose photo was skipped is told too
            assert "N-ZIP-PAIR" in found[1]
            found = outcome({problem.code for problem in problems} - {"N-ZIP-PAIR"})
    except FusescopeError as error:
        assert str(tmp_path) not in str(error) and "expected" in str(error)
        found = "refuse", error.code
    assert found == expected(row)
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"here"}  # nothing was written outside
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_one_bad_entry_does_not_cost_the_others(corpus, tmp_path):
    catalogue, problems = import_archive(corpus, {"file": "archive/418_wrong_checksum.zip"}, tmp_path)
    assert len(catalogue.items) == 3 and problems[0].value == "photos/a2.jpg"
    assert [bool(item.media) for item in catalogue.items] == [True, False, True]
