"""An item added from raw media is rankable at once; what is refused changes nothing."""

import json
from pathlib import Path

import pytest
from PIL import Image

from bench.cases.four import clip, sound
from core.__main__ import main
from core.catalog.clips import read_clip_safely

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video_clips" / "videos"
WORDS = "A brass ship's bell that rings across the harbour"


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> tuple[int, dict]:
        status = main([*words, "--home", str(tmp_path / "home"), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def photo(path: Path, colour: str) -> Path:
    picture = Image.radial_gradient("L").resize((96, 96))
    Image.merge("RGB", (picture, picture.rotate(90), Image.new("L", (96, 96), len(colour) * 20))).save(path)
    return path


def test_a_new_item_is_ranked_first_by_its_own_words_without_training_and_what_is_refused_changes_nothing(
    ask, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    photo(shop / "a.png", "red")
    rows = ["a,A red mug for tea,a.png", "b,A wool scarf in green,", "c,A wooden chair with arms,"]
    (shop / "items.csv").write_text("\n".join(["item_id,title,image", *rows]))
    status, first = ask("import", str(shop), "--name", "shop")
    assert status == 0
    bad = tmp_path / "bad.png"
    bad.write_bytes((shop / "a.png").read_bytes()[:60])
    new = ("add-item", "--catalogue", "shop", "--item-id", "bell", "--title", WORDS, "--category", "bells")
    status, refused = ask(*new, "--image", str(bad))
    assert (status, refused["error"]["code"][:6]) == (1, "E-IMG-")
    assert next(one for one in ask("catalogues")[1]["catalogues"] if one["name"] == "shop")["items"] == 3
    status, done = ask(*new, "--image", str(photo(tmp_path / "bell.png", "yellow")))
    assert (status, done["items"], done["media"], done["encoded"]) == (0, 4, {"image": 1}, 2)
    best = ask("recommend", "--run", first["run"], "--text", WORDS)[1]["items"]
    assert best[0]["item_id"] == "bell" and len(best) == 4
    status, again = ask(*new)
    assert (status, again["error"]["code"]) == (1, "E-ROW-DUP")
    assert len(ask("recommend", "--run", first["run"], "--text", WORDS)[1]["items"]) == 4


def ringing(shop: Path) -> Path:
    """Three products, each with a sound and a clip of its own."""
    shop.mkdir()
    rows = ["item_id,title,audio,video"]
    for seed, name in enumerate(("mug", "scarf", "chair")):
        (shop / f"{name}.wav").write_bytes(sound(seed, 16_000))
        (shop / f"{name}.mp4").write_bytes(small_clip(seed))
        rows.append(f"{name},A {name} for the hall,{name}.wav,{name}.mp4")
    (shop / "items.csv").write_text("\n".join(rows))
    return shop


def small_clip(seed: int) -> bytes:
    return clip(seed, width=160, height=96, rate=4)


@pytest.mark.slow
def test_of_two_new_items_with_the_same_words_the_one_heard_and_filmed_comes_first(ask, tmp_path: Path) -> None:
    status, first = ask("import", str(ringing(tmp_path / "ringing")), "--name", "ringing")
    assert status == 0
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFFxxxxnothing")
    new = ("add-item", "--catalogue", "ringing", "--title", WORDS, "--item-id")
    status, refused = ask(*new, "bell", "--audio", str(broken))
    assert (status, refused["error"]["code"]) == (1, "E-AUD-TYPE")
    given = {}
    for seed, name in enumerate(("bell", "gong"), start=9):
        heard, filmed = tmp_path / f"{name}.wav", tmp_path / f"{name}.mp4"
        heard.write_bytes(sound(seed, 16_000))
        filmed.write_bytes(small_clip(seed))
        given[name] = ("--audio", str(heard), "--video", str(filmed))
        status, done = ask(*new, name, *given[name])
        assert (status, done["media"]) == (0, {"audio": 1, "video": 1})
    for name, media in given.items():
        best = ask("recommend", "--run", first["run"], "--text", WORDS, *media)[1]["items"]
        assert best[0]["item_id"] == name and len(best) == 5


def test_a_bundled_catalogue_stays_as_it_is(ask) -> None:
    status, refused = ask("add-item", "--catalogue", "studio", "--item-id", "bell", "--title", WORDS)
    assert (status, refused["error"]["code"]) == (1, "E-INPUT-VALUE")
    assert "Import a copy" in refused["error"]["reason"]


@pytest.mark.skipif(not CLIPS.is_dir(), reason="../shared/data/video_clips is not there")
def test_real_clips_are_a_catalogue_and_each_finds_itself_first(ask, tmp_path: Path) -> None:
    """Import, the first run and the question go the way of any visitor, each clip through the worker that decodes."""
    shop = tmp_path / "clips"
    shop.mkdir()
    files = sorted(CLIPS.iterdir())
    for file in files:
        (shop / file.name).write_bytes(file.read_bytes())
    rows = [f"{file.stem},{file.name}" for file in files]
    (shop / "items.csv").write_text("\n".join(["item_id,video", *rows]))
    status, first = ask("import", str(shop), "--name", "clips")
    assert status == 0 and len(files) == 6
    for file in files:
        assert read_clip_safely(file.read_bytes(), file.name)[0].frames.any()
        best = ask("recommend", "--run", first["run"], "--video", str(file))[1]["items"]
        assert (best[0]["item_id"], len(best)) == (file.stem, 6)
