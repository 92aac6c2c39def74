"""A small shop whose products have words, a photo, a sound and a clip, through the whole core."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from core.__main__ import main
from core.account import explain
from core.domain import Query
from core.errors import SettingsError
from core.figures import signed
from core.workspace import Workspace

pytestmark = pytest.mark.slow
KINDS, COUNT = ("bell", "drum", "hiss"), 4


def sound(kind, seed):
    draw, t = np.random.default_rng(seed), np.arange(16_000) / 16_000
    wave = {
        "bell": np.sin(2 * np.pi * (1500 + 40 * seed) * t) * np.exp(-3 * t),
        "drum": np.sin(2 * np.pi * (90 + 3 * seed) * t) * (np.sin(2 * np.pi * 4 * t) > 0.5),
        "hiss": draw.normal(0, 0.3, len(t)),
    }[kind]
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1, 1), 16_000, format="WAV")
    return buffer.getvalue()


def picture(kind, seed, turn=0):
    pixels = np.full((64, 64, 3), 255, np.uint8)
    at = KINDS.index(kind)
    pixels[12 + seed : 52, 12 + 3 * turn : 40 + 3 * turn] = (np.eye(3)[at] * 200).astype(np.uint8)
    return Image.fromarray(pixels)


def photo(kind, seed):
    buffer = io.BytesIO()
    picture(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


def clip(kind, seed):
    buffer = io.BytesIO()
    frames = [picture(kind, seed, turn) for turn in range(5)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=250)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The shop on disk, imported and trained by the command line."""
    folder, home = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("home")
    rows = []
    for kind in KINDS:
        for seed in range(COUNT):
            name = f"{kind}{seed}"
            for ending, make in (("png", photo), ("wav", sound), ("gif", clip)):
                (folder / f"{name}.{ending}").write_bytes(make(kind, seed))
            rows.append([name, f"{kind} number {seed}", f"{name}.png", f"{name}.wav", f"{name}.gif"])
    with (folder / "items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["item_id", "title", "image", "audio", "video"], *rows])
    assert main(["import", str(folder), "--name", "band", "--home", str(home), "--json"]) == 0
    return Workspace.open(home)


@pytest.fixture(scope="module")
def pipeline(workspace):
    from core.pipeline import open_pipeline

    return open_pipeline(workspace, "band-content")


def test_an_import_keeps_all_four_and_its_run_knows_them(workspace, pipeline):
    media = [item.media for item in workspace.catalogue("band").items]
    assert all(set(own) == {"image", "audio", "video"} for own in media)
    assert {path.rsplit(".")[-1] for own in media for paths in own.values() for path in paths} == {
        "webp",
        "flac",
        "mp4",
    }
    assert pipeline.model.modalities == ("text", "image", "audio", "video")
    assert pipeline.items.vectors.shape[:2] == (16, 12)


def test_a_clip_alone_finds_its_kind(pipeline):
    """Sounds alone do not in a shop this small: training asks with photos, reviews and customers' media only."""
    for kind in KINDS:
        answer = pipeline.recommend(Query.of(clips=(clip(kind, 9),)), top=3)
        assert answer.players == ("video",)
        assert sum(item.item_id.startswith(kind) for item in answer.items) >= 2


def test_the_command_line_takes_a_sound_and_a_clip(workspace, pipeline, tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(sound("bell", 7))
    (tmp_path / "a.gif").write_bytes(clip("bell", 7))
    words = ["recommend", "--run", pipeline.run, "--home", str(workspace.home), "--json", "--text", "a bell"]
    assert main([*words, "--audio", str(tmp_path / "a.wav"), "--video", str(tmp_path / "a.gif")]) == 0
    answer = json.loads(capsys.readouterr().out)
    best = answer["items"][0]
    assert set(best["shares"]) == {"text", "audio", "video"} and sum(best["shares"].values()) == pytest.approx(1)
    assert best["base"] + sum(best["phi"].values()) == pytest.approx(best["score"], abs=1e-5)


def test_a_second_sound_is_left_out_with_its_reason(pipeline):
    answer = pipeline.recommend(Query.of(sounds=(sound("bell", 7), sound("drum", 7))), top=1)
    assert [notice.code for notice in answer.notices] == ["E-FILE-COUNT"]


def test_a_run_that_cannot_hear_says_so(workspace):
    from core.pipeline import open_pipeline

    with pytest.raises(SettingsError, match=r"cannot read audio; it knows text, image\. Choose another run"):
        open_pipeline(workspace, "studio-default").recommend(Query.of(sounds=(sound("bell", 7),)))


def test_all_six_pairs_are_reported(workspace, pipeline, capsys):
    assert main(["align-report", "--run", pipeline.run, "--home", str(workspace.home), "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    assert len(pairs) == 6 and {"text-audio", "text-video", "image-video", "image-audio"} <= set(pairs)


def test_an_account_tells_of_moments_and_frames_and_what_if_takes_them_away(workspace, pipeline):
    from core.editing import edited
    from core.explaining import Microscope, over_time

    query = Query.of("a bell", sounds=(sound("bell", 7),), clips=(clip("bell", 7),))
    answer = pipeline.recommend(query, top=12)
    scope = Microscope(pipeline, query, "bell0", answer, workspace.vectors)
    weights = scope.weights("occlusion")
    [heard], [seen] = over_time(scope, weights, "audio"), over_time(scope, weights, "video")
    assert [(one["start"], one["end"]) for one in heard] == [(0.0, 0.5), (0.5, 1.0)]
    assert [one["start"] for one in seen] == [0.0, 0.25, 0.5, 0.75] or len(seen) in (4, 5)
    assert all("attention" in one for one in (*heard, *seen))
    changed = edited(query, scope.scorer, {"audio": (1,), "video": (0, 2)})
    read, _ = pipeline.read(changed)
    assert not read["audio"][0].samples[8_000:].any() and read["audio"][0].samples[:8_000].any()
    assert len(read["video"][0].frames) == len(seen) - 2
    assert edited(query, scope.scorer, {"audio": (0, 1)}).modalities == ("text", "video")


@pytest.fixture
def explained(monkeypatch, workspace, pipeline):
    """The Explain page on a stored question of words, a sound and a clip."""
    import threading
    from pathlib import Path

    import streamlit as st
    from streamlit.testing.v1 import AppTest

    from pages.shared import services

    st.cache_data.clear()
    st.cache_resource.clear()
    engine = services.Engine(pipeline=pipeline, turn=threading.Semaphore(1))
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    monkeypatch.setattr(services, "engine", lambda run: engine)
    at = AppTest.from_file(Path(__file__).resolve().parents[1] / "app.py", default_timeout=120).run()
    at.switch_page("pages/explain_page.py")
    asked = Query.of("a bell", sounds=(sound("bell", 7),), clips=(clip("bell", 7),))
    at.query_params["recommend_query"] = workspace.save_query(asked, pipeline.run)
    at.run()
    assert not at.exception
    yield at
    st.cache_data.clear()
    st.cache_resource.clear()


def charts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def test_explain_draws_moments_on_the_spectrogram_and_frames_in_a_strip(explained):
    told = charts(explained)
    assert any("sound under its weights: strongest 0." in alt for alt in told)
    assert any("clip under its weights: strongest frame at" in alt for alt in told)
    assert [len(explained.get(kind)) for kind in ("audio", "video")] == [1, 1]
    explained.toggle(key="explain_words_table").set_value(True).run()
    tables = [table.value for table in explained.dataframe]
    assert not explained.exception
    assert any(list(table.columns)[:3] == ["part", "from", "to"] and len(table) == 2 for table in tables)


def test_a_silenced_moment_and_a_dropped_frame_are_asked_again(explained):
    from pages.shared import explain_visit

    at = explained.segmented_control(key=explain_visit.VIEW).set_value("What if").run()
    assert not at.exception and "Nothing is changed yet" in " ".join(one.value for one in at.markdown)
    pills = at.pills(key=explain_visit.GONE["audio"])
    at = pills.set_value([pills.options[0]]).run()
    frames = at.pills(key=explain_visit.GONE["video"])
    at = frames.set_value([frames.options[0]]).run()
    assert not at.exception and "Nothing is changed yet" not in " ".join(one.value for one in at.markdown)
    assert sum("as it is asked now" in one.value for one in at.caption) == 2
    at = at.button(key="explain_back").click().run()
    assert not at.exception and "Nothing is changed yet" in " ".join(one.value for one in at.markdown)


def test_the_report_of_a_question_shows_its_moments_and_frames(workspace, pipeline, tmp_path, capsys):
    query = Query.of(text="a bell", sounds=(sound("bell", 7),), clips=(clip("bell", 7),))
    ident, out = workspace.save_query(query, pipeline.run), tmp_path / "report.html"
    command = ["report", "--run", pipeline.run, "--query", ident, "--out", str(out), "--home", str(workspace.home)]
    assert main(command) == 0
    page, (query, _) = out.read_text("utf-8"), workspace.query(ident)  # kept as our own copies of sound and clip
    best = pipeline.recommend(query).items[0]
    assert f"what moved the score of {best.title}" in page
    found = explain(pipeline, query, best.item_id, workspace.vectors)
    for one in (*found["moments"][0], *found["frames"][0]):
        assert f"<td>{one['name']}</td>" in page
    assert all(f"{one['start']:.1f} s: {signed(one['weight'])}" in page for one in found["frames"][0])
    assert page.count("<figcaption>") >= len(found["frames"][0]) and "Spectrogram under its weights" in page
