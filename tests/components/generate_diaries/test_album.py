"""A folder of photos becomes diaries: what is sent, what is kept apart, what is asked again."""

import base64
import io
import random
import re
from collections import Counter, defaultdict

import polars as pl
import pytest
from PIL import Image

from components.split_data.config import Config as Split
from components.split_data.stage import run as split_data
from memozy import records
from memozy.records import InputError
from pipelines.config import load
from pipelines.estimate import calls
from tests.endpoint import PAID, serving


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
    assert all(r["prompt"].endswith("사진은 사진 한 장.") for r in endpoint.requests)
    assert len(out.diaries) == 9 * 2 and out.failures == []


def test_photos_that_come_go_and_change_their_names_change_nothing_for_the_others(generate, album):
    (album / "copy of 0.jpg").write_bytes((album / "0.jpg").read_bytes())  # the same photo, once more
    with serving(wrote) as endpoint:
        before = generate(photos=str(album), send_images=True, per_photo=2)
        asked = len(endpoint.requests)
        (album / "0.jpg").rename(album / "z.jpg")
        (album / "copy of 0.jpg").unlink()
        (album / "1.jpg").unlink()
        Image.new("RGB", (50, 50), "red").save(album / "00.png")
        after = generate("later", photos=str(album), send_images=True, per_photo=2)
    assert asked == 8 * 2 * 2 and len(endpoint.requests) - asked == 2 * 2  # only the new photo's
    ids = ("context_id", "place", "people", "mood")
    both = before.contexts.join(after.contexts, on="context_id")
    assert len(both) == 7 * 2
    assert before.contexts.select(ids).join(after.contexts.select(ids), on=ids).height == 7 * 2
    diaries = ("diary_id", "context_id", "prompt_id", "text")
    assert before.diaries.select(diaries).join(after.diaries.select(diaries), on=diaries).height == 7 * 2 * 2


def test_the_same_run_again_asks_nothing(generate, album, tmp_path):
    with serving(wrote) as endpoint:
        first = generate(photos=str(album), send_images=True, per_photo=2)
        asked = len(endpoint.requests)
        (done,) = (tmp_path / "run/stages").glob("generate_diaries-*/done.json")
        done.unlink()  # as if it had been killed at the very end
        again = generate("again", photos=str(album), send_images=True, per_photo=2)
    assert asked == 8 * 2 * 2 and len(endpoint.requests) == asked
    assert again.diaries.drop("created_at").equals(first.diaries.drop("created_at"))
    assert again.metrics == first.metrics


def test_photos_in_folders_below_and_of_formats_that_are_not_read(generate, album):
    (album / "trip").mkdir()
    (album / "0.jpg").rename(album / "trip/0.jpg")
    (album / "trip/iphone.HEIC").write_bytes(b"")
    with serving(wrote):
        out = generate(photos=str(album), per_photo=1, max_failed=0.2)
    assert len(out.diaries) == 8 * 2 and str(album / "trip/0.jpg") in out.contexts["image_path"]
    assert out.failures == [{"image_path": str(album / "trip/iphone.HEIC"), "context_id": None, "prompt_id": None,
                             "reason": "HEIC is not read; export it as JPEG"}]  # fmt: skip


def test_the_estimate_counts_the_photos_that_are_read_and_every_diary_twice(album, data, monkeypatch):
    (album / "trip").mkdir()
    (album / "0.jpg").rename(album / "trip/0.JPG")
    for name in ("iphone.heic", "notes.txt"):
        (album / name).write_bytes(b"")
    monkeypatch.chdir(data.parent)
    sets = [f"diaries.photos={album}", "diaries.per_photo=3", "diaries.per_context=2"]
    [line] = calls(load(data.parent / "configs/diary.yaml", sets), ["diaries"])
    assert line.n == 8 * 3 * 2 * 2


def test_an_answer_that_is_no_diary_is_asked_for_once_again_with_another_seed(generate, album, tmp_path, capsys):
    first = {"부산": "죄송합니다. 사진을 볼 수 없습니다.", "서울": "", "여수": "null"}
    seeds: dict[str, list[int]] = defaultdict(list)

    def answer(prompt: str) -> str:
        seeds[prompt].append(endpoint.requests[-1]["seed"])
        place = next(place for place in ("부산", "서울", "여수", "춘천") if place in prompt)
        return first[place] if place == "여수" or (place in first and len(seeds[prompt]) == 1) else wrote(prompt)

    one = {"photos": str(album), "people": ["친구"], "moods": ["기쁨"], "per_photo": 4, "max_failed": 0.25,
           "llm": PAID.model_dump() | {"concurrency": 1}}  # fmt: skip
    for photo in range(1, 8):
        (album / f"{photo}.jpg").unlink()
    with serving(answer) as endpoint:
        out = generate(**one)
        asked = len(endpoint.requests)
        (done,) = (tmp_path / "run/stages").glob("generate_diaries-*/done.json")
        done.unlink()
        generate("again", **one)
    assert asked == len(endpoint.requests) == 4 * 2 + 3 * 2  # four places by two prompts; three of them twice
    assert all(len(set(s)) == len(s) == (1 if "춘천" in prompt else 2) for prompt, s in seeds.items())
    assert len(out.diaries) == 6 and [f["reason"] for f in out.failures] == ["refusal: null"] * 2
    assert "\n… generate_diaries: 2 of 8 answers failed, see failures\n" in capsys.readouterr().out
    assert out.metrics["cost_usd"] == pytest.approx(endpoint.usd)


def test_what_fails_is_listed_and_is_no_diary(generate, album):
    (album / "zz.jpg").write_bytes(b"no photo")
    said = {"부산": "ERROR", "서울": ""}

    def answer(prompt: str) -> str:
        return next((text for place, text in said.items() if place in prompt), wrote(prompt))

    def fault(prompt: str, before: int):
        return 400 if "여수" in prompt else None

    all_four = {"photos": str(album), "send_images": True, "people": ["친구"], "moods": ["기쁨"], "per_photo": 4}
    with serving(answer, fault=fault):
        out = generate(**all_four, max_failed=0.75)
        with pytest.raises(InputError) as error:
            generate("less", **all_four, max_failed=0.74, seed=1)
    where = r"\(p\w{12}-\w{8} by A\)"
    reasons = [rf"16 × Error code: 400 - .* {where}", rf"16 × empty answer {where}", rf"16 × refusal: ERROR {where}"]
    assert "max_failed', value 0.74: 48 of 64 answers failed: 16 × " in str(error.value)
    assert all(re.search(reason, str(error.value)) for reason in reasons) and "\n" not in str(error.value)
    assert str(error.value).endswith("Mend the cause or raise it")
    # of four places three fail: 8 photos × 3 contexts × 2 prompts
    assert (len(out.diaries), len(out.failures)) == (16, 1 + 48)
    places = dict(out.contexts.select("context_id", "place").iter_rows())
    assert {places[c] for c in out.diaries["context_id"]} == {"춘천"}
    photo, *answers = out.failures
    assert photo["image_path"] == str(album / "zz.jpg") and photo["context_id"] is None
    assert "cannot be opened as a photo" in photo["reason"]
    reasons = Counter((places[f["context_id"]], f["prompt_id"], f["reason"].partition(":")[0]) for f in answers)
    assert reasons == {("부산", "A", "refusal"): 8, ("부산", "B", "refusal"): 8, ("서울", "A", "empty answer"): 8, ("서울", "B", "empty answer"): 8,
                       ("여수", "A", "Error code"): 8, ("여수", "B", "Error code"): 8}  # fmt: skip
    assert (out.metrics["n_failed_photos"], out.metrics["n_failed_answers"]) == (1, 48)


def test_too_many_broken_photos_stop_before_anything_is_asked(generate, album, tmp_path):
    (album / "3.jpg").write_bytes((album / "3.jpg").read_bytes()[:900])
    with (
        serving(wrote) as endpoint,
        pytest.raises(InputError, match=r"1 of 8 photos failed: 1 × cannot be opened as a photo: .* \(.*/3\.jpg\)"),
    ):
        generate(photos=str(album), send_images=True)
    assert endpoint.requests == [] and not (tmp_path / "out").exists()
    for photo in album.iterdir():
        photo.write_bytes(b"no photo " + photo.name.encode())
    with serving(wrote), pytest.raises(InputError, match=r"8 of 8 photos failed: 8 × .*\. Mend the cause$"):
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
