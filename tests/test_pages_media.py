"""Recommend with a sound and a clip, run whole over the toy shop."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from pages.shared import media_services, services, visit
from tests.test_pages import recommend_page, said, visit_app, world  # noqa: F401
from tests.toys import RUN


@pytest.fixture
def four(world, monkeypatch):  # noqa: F811
    monkeypatch.setattr(media_services, "modalities_of", lambda run: ("text", "image", "audio", "video"))
    return world


def tone(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(np.arange(int(16_000 * seconds)) * 0.2), 16_000, format="WAV")
    return buffer.getvalue()


def test_a_run_of_words_and_photos_says_in_one_line_that_it_takes_no_sound(world):  # noqa: F811
    at = recommend_page()
    assert "trained without sounds and clips" in " ".join(caption.value for caption in at.caption)
    assert not [uploader for uploader in at.file_uploader if uploader.label == "A sound"]


def test_a_sound_alone_is_asked_and_the_link_restores_it(four):
    at = recommend_page()
    at.file_uploader(key=visit.SOUND).set_value([("tap.wav", tone(), "audio/wav")])
    at.button(key=visit.GO).click().run()
    assert not at.exception
    (part,) = four.pipeline.asked[-1].of_modality("audio")
    assert part.content[:4] == b"fLaC"  # our own copy
    back = visit_app(recommend_query=at.query_params["recommend_query"])
    assert [box.type for box in back.get("audio")] == ["audio"]
    back.button(key="recommend_drop_audio").click().run()
    assert not back.exception and not back.get("audio")
    back.text_area(key=visit.TEXT).set_value("a mug")
    back.button(key=visit.GO).click().run()
    assert not four.pipeline.asked[-1].of_modality("audio")


def test_a_story_with_a_sound_asks_with_it_and_its_card_plays_it(four, monkeypatch):
    steps = tuple(
        services.StoryStep(label=name, look=f"Hear {name}.", text="a mug", sounds=(f"{name}.wav",)) for name in "ab"
    )
    told = services.Story(story_id="heard", title="Two sounds", lead="", catalogue="toy", run=RUN, steps=steps)
    files = {"a.wav": tone(1.0), "b.wav": tone(2.0)}
    monkeypatch.setattr(services, "stories", lambda: (told,))
    monkeypatch.setattr(four.workspace, "media", lambda catalogue, path: files[path])
    home = visit_app()
    assert len(home.get("audio")) == 2
    home.button(key="home_story_heard").click().run()
    assert not home.exception and four.pipeline.asked[-1].text == "a mug"
    assert [part.content for part in four.pipeline.asked[-1].of_modality("audio")] == [files["a.wav"]]
    visit_app(recommend_story="heard", recommend_step="2")
    assert [part.content for part in four.pipeline.asked[-1].of_modality("audio")] == [files["b.wav"]]


def test_a_broken_sound_is_refused_in_words_with_its_code(four):
    at = recommend_page()
    at.file_uploader(key=visit.SOUND).set_value([("no.wav", b"RIFFxxxxnothing", "audio/wav")]).run()
    assert "E-AUD-TYPE" in said(at) and "was expected" in said(at)
