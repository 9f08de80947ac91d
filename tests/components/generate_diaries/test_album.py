"""A folder of photos becomes diaries: what is sent, what is kept apart, what is asked again."""

import base64
import io
import random
from collections import Counter

import polars as pl
import pytest
from PIL import Image

from components.split_data.config import Config as Split
from components.split_data.stage import run as split_data
from memozy import records
from memozy.records import InputError
from tests.endpoint import serving


def wrote(prompt: str) -> str:
    return f"오늘 좋았다. {prompt}"


def images(endpoint) -> list[bytes]:
    """What was sent of photos."""
    urls = [part["image_url"]["url"] for r in endpoint.requests for part in r["messages"][0]["content"][1:]]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def test_a_photo_is_sent_small_and_without_what_the_camera_noted(generate, album):
    with serving(wrote) as endpoint:
        out = generate(photos=str(album), send_images=True, per_photo=3)
    assert len(out.diaries) == len(endpoint.requests) == 8 * 3 * 2
    sent = images(endpoint)
    assert Counter(Counter(sent).values()) == {6: 8}  # every photo as often as it has diaries
    for content in set(sent):
        assert b"SecretCamera" not in content and b"Exif" not in content
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("JPEG", (300, 188))  # 1600 × 1000
    assert all("사진은 첨부한 사진." in r["prompt"] for r in endpoint.requests)
    by_id = {c["context_id"]: c for c in out.contexts.to_dicts()}
    for d in out.diaries.to_dicts():
        context = by_id[d["context_id"]]
        assert d["image_id"] == context["image_id"]
        assert all(context[slot] in d["text"] for slot in ("place", "people", "mood"))
    assert out.metrics["cost_usd"] == pytest.approx(endpoint.usd)
    assert (out.metrics["n_photos"], out.metrics["n_contexts"], out.metrics["n_diaries"]) == (8, 24, 48)


def test_text_alone_is_sent_where_no_images_are_asked_for(generate, album):
    (album / "broken.jpg").write_bytes(b"no photo")  # which nobody will notice
    with serving(wrote) as endpoint:
        out = generate(photos=str(album), per_photo=1)
    assert {r["images"] for r in endpoint.requests} == {0}
    assert len(out.diaries) == 9 * 2 and out.failures == []


def test_photos_that_come_go_and_change_their_names_change_nothing_for_the_others(generate, album):
    (album / "copy of 0.jpg").write_bytes((album / "0.jpg").read_bytes())  # the same photo, once more
    with serving(wrote) as endpoint:
        before = generate(photos=str(album), send_images=True)
        asked = len(endpoint.requests)
        (album / "0.jpg").rename(album / "z.jpg")
        (album / "copy of 0.jpg").unlink()
        (album / "1.jpg").unlink()
        Image.new("RGB", (50, 50), "red").save(album / "00.png")
        after = generate("later", photos=str(album), send_images=True)
    assert asked == 8 * 5 * 2 and len(endpoint.requests) - asked == 5 * 2  # only the new photo's
    ids = ("context_id", "place", "people", "mood")
    both = before.contexts.join(after.contexts, on="context_id")
    assert len(both) == 7 * 5
    assert before.contexts.select(ids).join(after.contexts.select(ids), on=ids).height == 7 * 5
    diaries = ("diary_id", "context_id", "prompt_id", "text")
    assert before.diaries.select(diaries).join(after.diaries.select(diaries), on=diaries).height == 7 * 5 * 2


def test_the_same_run_again_asks_nothing(generate, album, tmp_path):
    with serving(wrote) as endpoint:
        first = generate(photos=str(album), send_images=True)
        asked = len(endpoint.requests)
        (done,) = (tmp_path / "run/stages").glob("generate_diaries-*/done.json")
        done.unlink()  # as if it had been killed at the very end
        again = generate("again", photos=str(album), send_images=True)
    assert asked == 80 and len(endpoint.requests) == asked
    assert again.diaries.drop("created_at").equals(first.diaries.drop("created_at"))
    assert again.metrics == first.metrics


def test_what_fails_is_listed_and_is_no_diary(generate, album):
    (album / "zz.jpg").write_bytes(b"no photo")
    said = {"부산": "ERROR", "서울": "죄송합니다. 사진을 볼 수 없습니다."}

    def answer(prompt: str) -> str:
        return next((text for place, text in said.items() if place in prompt), wrote(prompt))

    def fault(prompt: str, before: int):
        return 400 if "여수" in prompt else None

    all_four = {"photos": str(album), "send_images": True, "people": ["친구"], "moods": ["기쁨"], "per_photo": 4}
    with serving(answer, fault=fault):
        out = generate(**all_four, max_failed=0.75)
        with pytest.raises(InputError, match=r"Failed answers: 48 of 64; .*raise generate_diaries.max_failed \(0.74\)"):
            generate("less", **all_four, max_failed=0.74, seed=1)
    # of four places three fail: 8 photos × 3 contexts × 2 prompts
    assert (len(out.diaries), len(out.failures)) == (16, 1 + 48)
    places = dict(out.contexts.select("context_id", "place").iter_rows())
    assert {places[c] for c in out.diaries["context_id"]} == {"춘천"}
    photo, *answers = out.failures
    assert photo["image_path"] == str(album / "zz.jpg") and photo["context_id"] is None
    assert "cannot be opened as a photo" in photo["reason"]
    reasons = Counter((places[f["context_id"]], f["prompt_id"], f["reason"].partition(":")[0]) for f in answers)
    assert reasons == {("부산", "A", "refusal"): 8, ("부산", "B", "refusal"): 8, ("서울", "A", "refusal"): 8, ("서울", "B", "refusal"): 8,
                       ("여수", "A", "Error code"): 8, ("여수", "B", "Error code"): 8}  # fmt: skip
    assert (out.metrics["n_failed_photos"], out.metrics["n_failed_answers"]) == (1, 48)


def test_too_many_broken_photos_stop_before_anything_is_asked(generate, album, tmp_path):
    (album / "3.jpg").write_bytes((album / "3.jpg").read_bytes()[:900])
    with (
        serving(wrote) as endpoint,
        pytest.raises(InputError, match=r"3\.jpg: cannot be opened .*Failed photos: 1 of 8"),
    ):
        generate(photos=str(album), send_images=True)
    assert endpoint.requests == [] and not (tmp_path / "out").exists()
    for photo in album.iterdir():
        photo.write_bytes(b"no photo " + photo.name.encode())
    with serving(wrote), pytest.raises(InputError, match="Failed photos: 8 of 8$"):
        generate(photos=str(album), send_images=True, max_failed=1.0)


def test_no_photo_stands_on_both_sides_of_the_split(generate, album, tmp_path):
    draw = random.Random(0)
    with serving(lambda prompt: "".join(chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(40))):
        out = generate(photos=str(album), per_photo=3)
    folder = tmp_path / "validated"
    records.write(out.diaries, folder / "diaries.parquet", records.DIARIES)
    ratings = [{"diary_id": d, "rater_id": "r", "rating": 0.5, "source": "f"} for d in out.diaries["diary_id"]]
    records.write(pl.DataFrame(ratings), folder / "ratings.parquet", records.RATINGS)
    split_data(Split(test_share=0.5), validated=folder, rated=tmp_path / "rated", quarantine=tmp_path / "aside")
    rated = records.read(tmp_path / "rated", records.RATED)
    assert rated.height == 48 and set(rated["split"]) == {"train", "test"}
    assert rated["context_id"].n_unique() == 24
    sides = rated.group_by("image_id").agg(pl.col("split").n_unique(), pl.col("group_id").n_unique())
    assert sides.height == 8 and sides["split"].to_list() == sides["group_id"].to_list() == [1] * 8
