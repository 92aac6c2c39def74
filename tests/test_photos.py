"""Pictures: what the reader gives back, what it refuses, and that one bad picture hurts nobody else."""

import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from core.catalog import media_workers
from core.catalog.photos import encode_photo, photo_kind, read_image, read_image_safely, read_images, thumbnail
from core.errors import PhotoError
from core.limits import LIMITS

ROOT = Path(__file__).resolve().parents[1]


def picture(width=64, height=48, mode="RGB"):
    """A picture with a left-to-right ramp, so that it is never flat."""
    return Image.linear_gradient("L").rotate(90).resize((width, height)).convert(mode)


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data, name="a.jpg"):
    with pytest.raises(PhotoError) as caught:
        read_image(data, name)
    return caught.value


def codes(notices):
    return [notice.code for notice in notices]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", pytest.param("AVIF", marks=pytest.mark.skipif(
    not features.check("avif"), reason="this Pillow has no AVIF"))])  # fmt: skip
def test_every_allowed_type_is_read_without_a_word(kind):
    image, notices = read_image(encoded(picture(), kind), f"a.{kind.lower()}")
    assert (image.size, image.mode, notices) == ((64, 48), "RGB", ())


def test_a_name_without_ending_is_read_by_its_content():
    assert read_image(encoded(picture(), "PNG"), "pasted picture")[1] == ()


def test_size_is_checked_before_any_byte_is_decoded():
    error = refusal(b"\xff\xd8\xff" + bytes(21_000_000))
    assert error.code == "E-IMG-SIZE" and "21.0 MB arrived; at most 20 MB" in error.message
    with pytest.raises(PhotoError, match="E-IMG-SIZE"):
        read_image_safely(b"\xff\xd8\xff" + bytes(21_000_000), "a.jpg")


def test_the_long_side_is_kept_at_1024_and_the_shape_with_it():
    image, _ = read_image(encoded(picture(3000, 1500)), "a.jpg")
    assert image.size == (1024, 512)
    assert read_image(encoded(picture(1500, 3000), "PNG"), "a.png")[0].size == (512, 1024)


def test_turning_happens_after_drafting():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(encoded(picture(3000, 1500), exif=exif), "a.jpg")[0].size == (512, 1024)


def test_unreadable_exif_is_dropped_and_the_picture_kept():
    image, notices = read_image(encoded(picture(), exif=b"Exif\0\0" + b"\xff" * 60), "a.jpg")
    assert image.size == (64, 48) and notices == ()


@pytest.mark.parametrize("size", [(16, 320), (320, 16)])
def test_a_strip_of_20_to_1_is_the_longest(size):
    assert read_image(encoded(picture(*size), "PNG"), "a.png")[0].size == size
    longer = tuple(side + 1 if side == 320 else side for side in size)
    assert refusal(encoded(picture(*longer), "PNG"), "a.png").code == "E-IMG-DIM"


def test_a_jpeg_may_have_more_pixels_than_a_png():
    assert LIMITS.jpeg_pixels > LIMITS.photo_pixels
    assert refusal(encoded(Image.new("1", (5001, 5000)), "PNG"), "a.png").code == "E-IMG-PIXELS"
    assert read_image(encoded(picture(5001, 5000, "L")), "a.jpg")[0].size == (
        1024,
        1023,
    )  # 1024 * 5000 / 5001 is 1023.8; drafting to an eighth rounds down


def test_a_message_says_what_came_what_was_expected_and_what_to_do():
    error = refusal(encoded(picture(400, 300))[:-400], "/home/me/kettle.jpg")
    assert error.code == "E-IMG-TRUNC"
    assert str(error).startswith("kettle.jpg: the picture ends early, ") and "complete JPEG was expected" in str(error)
    assert str(error).endswith("and upload that. (E-IMG-TRUNC)")


def test_stored_copies_are_made_anew_and_small():
    image = read_image(encoded(picture(800, 600)), "a.jpg")[0]
    assert Image.open(io.BytesIO(encode_photo(image))).size == (800, 600)
    assert Image.open(io.BytesIO(thumbnail(image))).size == (96, 72)
    assert Image.open(io.BytesIO(thumbnail(image, 320))).size == (320, 240)
    assert encode_photo(image) == encode_photo(read_image(encoded(picture(800, 600)), "b.jpg")[0])


def test_of_nine_pictures_eight_are_used_and_one_is_told():
    files = [(encoded(picture(64, 48 + shift)), f"{shift}.jpg") for shift in range(9)]
    photos, notices = read_images(files)
    assert [photo.position for photo in photos] == list(range(8)) and codes(notices) == ["E-FILE-COUNT"]


def test_a_bad_picture_in_the_middle_leaves_the_others():
    good, other = encoded(picture()), encoded(picture(50, 50))
    photos, notices = read_images([(good, "a.jpg"), (b"", "b.jpg"), (good, "c.jpg"), (other, "d.jpg")])
    assert [photo.name for photo in photos] == ["a.jpg", "d.jpg"]
    assert [(notice.where, notice.code) for notice in notices] == [("b.jpg", "E-IMG-EMPTY"), ("c.jpg", "N-IMG-DUP")]


def test_more_than_the_visitor_may_hold_is_left_out():
    big = bytes(LIMITS.photo_bytes)
    photos, notices = read_images([(encoded(picture()), "a.jpg")] + [(big, f"{n}.jpg") for n in range(6)])
    assert len(photos) == 1 and notices[-1].code == "E-FILE-TOTAL"


# Worker processes


def test_a_worker_gives_the_same_pixels_notices_and_codes():
    data = encoded(picture(), "PNG")
    here, there = read_image(data, "a.jpg"), read_image_safely(data, "a.jpg")
    assert here[0].tobytes() == there[0].tobytes() and here[1] == there[1] and codes(there[1]) == ["N-IMG-NAME"]
    with pytest.raises(PhotoError) as caught:
        read_image_safely(b"hello", "a.jpg")
    assert str(caught.value) == str(refusal(b"hello"))


def worker_that(monkeypatch, what):
    """From now on new workers run `what` in place of the reader."""
    code = f"import sys, os, time, ctypes; from core.catalog import media_workers as w\n{what}\n"
    code += "w.serve(sys.stdin.buffer, sys.stdout.buffer)"
    monkeypatch.setattr(media_workers.Worker, "command", (sys.executable, "-c", code))


@pytest.mark.parametrize("death", [
    "w._answer_for = lambda *_: os._exit(3)",
    "w._answer_for = lambda *_: ctypes.string_at(0)",
    "w._answer_for = lambda *_: ({}, bytearray(3_000_000_000))",
])  # fmt: skip
def test_a_worker_that_dies_costs_one_picture(monkeypatch, death):
    pool = media_workers.Pool("photo", size=1)
    with monkeypatch.context() as patched:
        worker_that(patched, death)
        with pytest.raises(PhotoError, match=r"^a.jpg: .* \(E-WORKER-DIED\)$"):
            pool.read(encoded(picture()), "a.jpg")
    assert pool.read(encoded(picture()), "a.jpg")[0].size == (64, 48)
    pool.close()


def test_a_worker_that_hangs_is_stopped_in_time(monkeypatch):
    pool = media_workers.Pool("photo", size=1, seconds=0.3)
    with monkeypatch.context() as patched:
        worker_that(patched, "w._answer_for = lambda *_: time.sleep(60)")
        start = time.perf_counter()
        with pytest.raises(PhotoError, match=r"not read after 0.3 s; .*E-WORKER-TIME"):
            pool.read(encoded(picture()), "a.jpg")
        worker_started = 2.0  # at most: a Python and Pillow
        assert time.perf_counter() - start < 0.3 + worker_started
    pool.close()


def test_an_idle_worker_that_was_killed_is_replaced():
    pool = media_workers.Pool("photo", size=1)
    pool.read(encoded(picture()), "a.jpg")
    worker = pool._places.queue[0]
    worker.process.kill()
    worker.process.wait()
    assert pool.read(encoded(picture()), "a.jpg")[0].size == (64, 48)
    pool.close()


def test_many_threads_share_two_workers_without_mixing_answers():
    sizes = {}

    def read(side):
        sizes[side] = read_image_safely(encoded(picture(side, 40)), "a.jpg")[0].size

    threads = [threading.Thread(target=read, args=(40 + side,)) for side in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == {40 + side: (40 + side, 40) for side in range(20)}


def test_workers_end_when_the_program_ends():
    code = "import io; from PIL import Image; from core.catalog import photos, media_workers\n"
    code += (
        "b = io.BytesIO(); Image.linear_gradient('L').save(b, 'PNG'); photos.read_image_safely(b.getvalue(), 'a.png')\n"
    )
    code += "print(media_workers.pool_of('photo')._places.queue[-1].process.pid, flush=True); import os; os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert wait_gone(int(done.stdout))


def wait_gone(process):
    for _ in range(50):
        state = Path(f"/proc/{process}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        threading.Event().wait(0.1)
    return False


def test_the_reader_loads_neither_torch_nor_numpy():
    code = "import sys, core.catalog.media_workers, core.catalog.photos; "
    code += "print(sorted({'torch', 'numpy', 'ftfy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


# Any bytes at all

SEEDS = [encoded(picture(40, 30), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")]
SEEDS += [encoded(picture(40, 30, "P"), "PNG", transparency=0), encoded(picture(40, 30), progressive=True)]
SEEDS += [encoded(picture(40, 30), "AVIF")] if features.check("avif") else []


@st.composite
def mutated_pictures(draw):
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=12)):
        data[at] = byte
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    at = draw(st.integers(0, len(data)))
    data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)


@settings(max_examples=200, deadline=5_000, suppress_health_check=[HealthCheck.too_slow])
@given(data=mutated_pictures(), name=st.one_of(st.just("a.jpg"), st.text(max_size=30)))
def test_any_bytes_give_a_picture_or_our_own_refusal(data, name):
    try:
        image, notices = read_image(data, name)
    except PhotoError as error:
        assert error.code.startswith("E-IMG-") and str(error).isprintable()
    else:
        assert image.mode == "RGB" and 16 <= max(image.size) <= 1024 and image.info == {} and photo_kind(data)
        assert all(notice.code.startswith("N-IMG-") for notice in notices)
