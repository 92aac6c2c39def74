"""The numbers of the contract that are no file: made with a session, a socket, a clock or an encoder.

904, 905, 909 and 910 are asked of a running server in test_security_server.py, 908 in the load test (L8), 705 with the
models.
"""

import io
from fractions import Fraction

import pytest

from core.catalog.photos import read_image, read_images
from core.catalog.tables import read_table
from core.errors import ClipError, JobError, PhotoError, TableError
from core.jobs import queue
from core.limits import LIMITS, MB
from core.workspace import Workspace
from pages.shared import services, visit
from tests.test_pages import ask, recommend_page, said, titles, visit_app, world  # noqa: F401
from tests.toys import paint


def test_174_a_picture_of_21_mb_is_refused_before_a_byte_is_decoded(monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(PhotoError, match="E-IMG-SIZE"):
        read_image(b"\xff\xd8\xff" + bytes(21 * MB), "a.jpg")


def film(rate_of, frames: int, seconds_between) -> bytes:
    """A small film whose frames stand where `seconds_between` says."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=rate_of)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        at = 0.0
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number * 200 // frames, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int(at * 1000), stream.time_base
            out.mux(stream.encode(frame))
            at += seconds_between(number)
        out.mux(stream.encode(None))
    return buffer.getvalue()


def test_620_a_variable_frame_rate_is_read():
    from core.catalog.clips import read_clip

    clip, notices = read_clip(film(25, 24, lambda number: 0.04 if number < 20 else 0.8), "a.mp4")
    assert not [notice for notice in notices if notice.code.startswith("E-")] and clip is not None


def test_621_a_film_of_two_hours_is_refused():
    from core.catalog.clips import read_clip

    with pytest.raises(ClipError) as caught:
        read_clip(film(1, 8, lambda _: 900.0), "a.mp4")
    assert caught.value.code in ("E-VID-LONG", "E-VID-SIZE")


def test_622_without_a_decoder_the_extra_is_named(monkeypatch):
    import sys

    from core.catalog import clips

    data = film(25, 10, lambda _: 0.2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipError) as caught:
        clips.read_clip(data, "a.mp4")
    assert caught.value.code == "E-VID-EXTRA"


@pytest.mark.parametrize("ident", ["<script>alert(1)</script>", "nobody-knows-this"])
def test_901_902_an_address_that_leads_nowhere_is_told_and_the_page_stands(world, ident):  # noqa: F811
    at = visit_app(recommend_query=ident)
    assert "E-URL-ITEM" in said(at) and titles(ask(at, "a red mug"))


@pytest.mark.parametrize("value", ["-1", "nan", "1e9"])
def test_903_a_count_that_makes_no_sense_is_a_notice_and_the_default_is_used(world, value):  # noqa: F811
    at = visit_app(recommend_top=value)
    assert "E-URL-VALUE" in said(at)
    assert at.session_state[visit.TOP] == visit.DEFAULT_TOP


def test_906_the_question_comes_back_from_its_link_in_a_new_session(world):  # noqa: F811
    at = ask(recommend_page(), "a blue bowl")
    link = at.query_params[visit.QUERY_PARAMETER]
    again = visit_app(recommend_query=link[0] if isinstance(link, list) else link)
    assert again.text_area(key=visit.TEXT).value == "a blue bowl"


def test_907_of_nine_photos_eight_are_used():
    files = [(paint("mug", "red", 40 + n), f"{n}.jpg") for n in range(9)]
    photos, notices = read_images(files)
    assert len(photos) == LIMITS.query_photos == 8
    assert [notice.code for notice in notices if notice.code.startswith("E-")] == ["E-FILE-COUNT"]


def test_908_a_visit_holds_100_mb():
    photos, notices = read_images([(bytes(60 * MB), "a.jpg"), (bytes(60 * MB), "b.jpg")], read=lambda d, n: (None, ()))
    assert len(photos) == 1 and [notice.code for notice in notices] == ["E-FILE-TOTAL"]


def test_911_a_second_start_of_the_same_training_finds_the_first(tmp_path):
    workspace = Workspace.open(tmp_path)
    queue.claim(workspace, "train", "one")
    with pytest.raises(JobError) as caught:
        queue.claim(workspace, "train", "one")
    assert caught.value.code == "E-JOB-RUNNING"
    assert [job.target for job in queue.jobs(workspace)] == ["one"]  # both visitors see it


def test_912_more_rows_than_the_page_takes_names_the_command_line(monkeypatch):
    from dataclasses import replace

    from core.catalog import table_csv, table_rows, tables

    small = replace(LIMITS, table_rows=10)
    for module in (tables, table_rows, table_csv):
        if hasattr(module, "LIMITS"):
            monkeypatch.setattr(module, "LIMITS", small)
    data = b"item_id,title\n" + b"".join(b"a%d,x\n" % n for n in range(11))
    with pytest.raises(TableError, match=r"command line.*E-TAB-ROWS"):
        read_table(data, "items.csv", uploaded=True)
    assert read_table(data, "items.csv", uploaded=False)


def test_913_the_sixty_first_question_of_a_minute_waits(world):  # noqa: F811
    at = recommend_page()
    at.session_state["visit_acts"] = [visit.time.monotonic()] * services.LIMITS.heavy_actions_a_minute
    ask(at, "once more")
    assert "E-RATE-LIMIT" in said(at)
