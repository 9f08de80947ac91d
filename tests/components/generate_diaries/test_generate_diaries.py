"""Diaries of contexts in a file, by a model in this process, and what the stage refuses."""

import pytest

from memozy.llm import LLMConfig
from memozy.records import InputError, write_jsonl
from tests.endpoint import serving


@pytest.fixture
def embedded(data, generate):
    """The stage with the embedded writer and the sample contexts."""
    files = {"contexts": str(data / "contexts.jsonl"), "prompts": str(data / "prompts.jsonl")}
    llm = LLMConfig(model=str(data / "models/writer"), batch_size=8).model_dump()
    return lambda **config: generate(**{**files, "n_contexts": 10, "llm": llm, **config})


def test_diaries_name_what_they_are_about(embedded):
    out = embedded()
    places = dict(out.contexts.select("context_id", "place").iter_rows())
    assert len(out.diaries) == 20 and (out.diaries["prompt_id"] == "A").sum() == 10
    assert sum(places[c] in t for c, t in out.diaries.select("context_id", "text").iter_rows()) >= 18
    assert out.failures == [] and out.metrics["n_photos"] == 0


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("장소 {place} 사람 {people} 기분 {mood}.", "field 'template'.*has no slot {photo}"),
        ("{place} {people} {mood} {photo} {weather}", "has an unknown slot {weather}"),
        ("{place} {people} {mood} {photo} {", "has broken braces"),
    ],
)
def test_a_template_with_a_fault_is_refused_by_file_row_and_field(generate, tmp_path, template, said):
    prompts = tmp_path / "faulty.jsonl"
    write_jsonl([{"prompt_id": "A", "template": template, "parent_prompt_id": None, "origin": "incumbent"}], prompts)
    with pytest.raises(InputError, match=rf"faulty.jsonl, row 1, .*{said}"):
        generate(prompts=str(prompts))


def test_more_contexts_than_there_are(embedded):
    with pytest.raises(InputError, match="holds 400 contexts, 401 are asked for"):
        embedded(n_contexts=401)


def test_no_model_there(generate, tmp_path):
    with pytest.raises(InputError, match="field 'model'.*no model can be loaded from here"):
        generate(llm={"model": str(tmp_path / "nothing")})


def test_settings_that_cannot_be_are_refused(generate, album):
    with pytest.raises(InputError, match="send_images needs a model that sees.*set llm.backend to openai"):
        generate(photos=str(album), send_images=True, llm={})
    with pytest.raises(InputError, match="per_photo is 5, but places, people and moods make 4 contexts"):
        generate(photos=str(album), places=["산", "산", "강"], people=["친구"])


def test_contexts_of_a_file_name_their_photos(generate, album, tmp_path):
    rows = [{"context_id": f"c{n}", "place": "산", "people": "친구", "mood": "기쁨", "photo": "노을",
             "image_path": str(album / f"{n // 2}.jpg")} for n in range(4)]  # fmt: skip
    write_jsonl(rows, tmp_path / "contexts.jsonl")
    contexts = {"contexts": str(tmp_path / "contexts.jsonl"), "n_contexts": 4, "send_images": True}
    with serving(lambda prompt: "친구와 산에 갔다.") as endpoint:
        out = generate(**contexts)
    assert {r["images"] for r in endpoint.requests} == {1} and all(
        "사진은 노을." in r["prompt"] for r in endpoint.requests
    )
    photos = dict(out.diaries.select("context_id", "image_id").iter_rows())
    assert photos["c0"] == photos["c1"] != photos["c2"] == photos["c3"]  # one photo, one id
    copy = album / "copy.jpg"
    copy.write_bytes((album / "0.jpg").read_bytes())
    rows[2] |= {"image_path": str(copy)}
    rows[3] |= {"image_path": str(album / "nowhere.jpg")}
    write_jsonl(rows, tmp_path / "contexts.jsonl")
    with serving(lambda prompt: "친구와 산에 갔다."):
        out = generate("copies", **contexts | {"send_images": False})
        with pytest.raises(InputError, match=r"row 4, field 'image_path', value .*: no such photo"):
            generate(**contexts)
    photos = dict(out.diaries.select("context_id", "image_id").iter_rows())
    assert photos["c0"] == photos["c1"] == photos["c2"] and photos["c3"] == str(album / "nowhere.jpg")
    rows[2]["image_path"] = None
    write_jsonl(rows, tmp_path / "contexts.jsonl")
    with serving(lambda prompt: ""), pytest.raises(InputError, match="row 3, field 'image_path': is empty, but images"):
        generate(**contexts)
