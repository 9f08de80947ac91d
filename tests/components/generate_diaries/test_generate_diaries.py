import json

import pytest

from components.generate_diaries.config import Config
from components.generate_diaries.stage import run
from memozy.llm import LLMConfig
from memozy.records import CONTEXTS, DIARIES, InputError, read, write_jsonl


def settings(data, **changes):
    return Config(contexts=str(data / "contexts.jsonl"), prompts=str(data / "prompts.jsonl"), n_contexts=10, per_context=2,
                  llm=LLMConfig(model=str(data / "models/writer"), batch_size=8)).model_copy(update=changes)  # fmt: skip


def generate(config, folder):
    (folder / "kept").mkdir(parents=True, exist_ok=True)
    run(config, diaries=folder / "diaries", contexts=folder / "contexts", work=folder / "kept")
    return read(folder / "diaries", DIARIES)


def test_diaries_name_what_they_are_about(data, tmp_path):
    diaries = generate(settings(data), tmp_path)
    places = dict(read(tmp_path / "contexts", CONTEXTS).select("context_id", "place").iter_rows())
    assert len(diaries) == 20 and (diaries["prompt_id"] == "A").sum() == 10
    assert sum(places[c] in t for c, t in diaries.select("context_id", "text").iter_rows()) >= 18


def test_killed_it_goes_on_and_writes_the_same(data, tmp_path):
    whole = generate(settings(data), tmp_path / "whole")
    lines = (tmp_path / "whole" / "kept" / "diaries.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    work = tmp_path / "killed" / "kept"
    work.mkdir(parents=True)
    kept = [
        json.dumps(json.loads(line) | {"cost_usd": 1.0}) + "\n" for line in lines[:11]
    ]  # 8 whole, 3 of a second chunk
    (work / "diaries.jsonl").write_text("".join(kept) + '{"text": "잘린', encoding="utf-8")
    again = generate(settings(data), tmp_path / "killed")
    assert again["text"].to_list() == whole["text"].to_list()
    assert again["cost_usd"].to_list() == [1.0] * 8 + [0.0] * 12  # the first chunk was not asked for again


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("장소 {place} 사람 {people} 기분 {mood}.", "field 'template'.*has no slot {photo}"),
        ("{place} {people} {mood} {photo} {weather}", "has an unknown slot {weather}"),
        ("{place} {people} {mood} {photo} {", "has broken braces"),
    ],
)
def test_a_template_with_a_fault_is_refused_by_file_row_and_field(data, tmp_path, template, said):
    prompts = tmp_path / "prompts.jsonl"
    write_jsonl([{"prompt_id": "A", "template": template, "parent_prompt_id": None, "origin": "incumbent"}], prompts)
    with pytest.raises(InputError, match=rf"prompts.jsonl, row 1, .*{said}"):
        generate(settings(data, prompts=str(prompts)), tmp_path / "out")


def test_more_contexts_than_there_are(data, tmp_path):
    with pytest.raises(InputError, match="holds 400 contexts, 401 are asked for"):
        generate(settings(data, n_contexts=401), tmp_path)


def test_no_model_there(data, tmp_path):
    with pytest.raises(InputError, match="field 'llm.model'.*no model can be loaded from here"):
        generate(settings(data, llm=LLMConfig(model=str(tmp_path / "nothing"))), tmp_path / "out")
