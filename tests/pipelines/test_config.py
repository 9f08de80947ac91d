"""A run's configuration: what is shared, what is overridden, and how each mistake is told in one line."""

import pytest
import yaml

from memozy.records import InputError
from pipelines.config import STEPS, RunConfig, check_files, load


@pytest.fixture
def config_file(tmp_path):
    def write(text: str):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_seed_and_llm_reach_every_stage_that_has_them(config_file):
    config = load(config_file("seed: 7\nllm: {model: some/model, batch_size: 3}\n"))
    assert config.diaries.seed == config.ppo.seed == config.split.seed == 7
    assert config.diaries.llm == config.truth.llm == config.llm
    assert config.llm.batch_size == 3


def test_a_section_may_differ_from_what_is_shared_key_by_key(config_file):
    config = load(config_file("seed: 7\nllm: {model: some/model}\ntruth: {seed: 9, llm: {temperature: 0.5}}\n"))
    assert (config.truth.seed, config.ppo.seed) == (9, 7)
    assert (config.truth.llm.model, config.truth.llm.temperature) == ("some/model", 0.5)


def test_feedback_is_counted_in_the_ratings_file(config_file):
    assert load(config_file("ratings: {path: a.csv}\n")).feedback.ratings == "a.csv"
    assert load(config_file("ratings: {path: a.csv}\nfeedback: {ratings: b.csv}\n")).feedback.ratings == "b.csv"
    several = load(config_file("ratings: {path: [a.csv, 's3://bucket/b'], store: batches, scale: {5: 1}}\n"))
    assert several.feedback.ratings == ("a.csv", "s3://bucket/b") and several.feedback.store
    assert several.feedback.scale == {"5": 1.0}
    assert several.arguments()["feedback"]["ratings"] == ["a.csv", "s3://bucket/b"]


def test_places_elsewhere_and_batches_to_be_made_are_not_looked_for_on_the_disk(config_file, tmp_path):
    there = tmp_path / "a.csv"
    there.write_text("diary_id,rating\n")
    some = f"ratings: {{path: [{there}, 's3://bucket/b'], store: {tmp_path}/batches}}\n"
    check_files(load(config_file(some)), ["ratings"])
    with pytest.raises(InputError, match=r"field 'ratings\.events': no such file"):
        check_files(load(config_file(some.replace("store:", "events:"))), ["ratings"])
    with pytest.raises(InputError, match=r"field 'ratings\.path\.1': no such file"):
        check_files(load(config_file(some.replace("s3://bucket/b", f"{tmp_path}/b.csv"))), ["ratings"])


def test_overrides_are_yaml(config_file):
    path = config_file("ppo: {updates: 5}\n")
    config = load(path, ["ppo.updates=7", "ratings.path=a=b.csv", "evaluation.ratings=null", "sft.learning_rate=5e-4"])
    assert config.ppo.updates == 7
    assert config.ratings.path == "a=b.csv"
    assert config.evaluation.ratings is None
    assert config.sft.learning_rate == 0.0005


def test_what_is_written_down_reads_back_the_same(config_file):
    config = load(config_file("seed: 3\nllm: {temperature: 0.9}\ntruth: {llm: {temperature: 0.5}}\n"))
    assert RunConfig.model_validate(yaml.safe_load(config.text())) == config
    assert "seed" not in yaml.safe_load(config.text())["ppo"]


def test_arguments_hold_no_null_and_lose_nothing():
    config = RunConfig()
    for name, values in config.arguments().items():
        assert None not in values.values()
        assert type(getattr(config, name)).model_validate(values) == getattr(config, name)


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("ppo: {updatez: 3}\n", [], r"run.yaml, field 'ppo.updatez', value 3: unknown key. Did you mean 'updates'\?"),
        ("pppo: {}\n", [], r"field 'pppo', value {}: unknown key. Did you mean 'ppo'\?"),
        ("llm: {modle: x}\n", [], r"field 'llm.modle', value 'x': unknown key. Did you mean 'model'\?"),
        ("ppo: {updates: three}\n", [], r"field 'ppo.updates', value 'three': Input should be a valid integer"),
        ("ppo: 3\n", [], r"field 'ppo', value 3: "),
        ("- a\n", [], r"run.yaml, value \['a'\]: is not a mapping"),
        ("a: [\n", [], r"run.yaml, row 2: is not YAML"),
        ("seed: 1\nseed: 2\n", [], r"run.yaml, row 2: is not YAML \('seed' stands twice\)"),
        ("", ["ppo.updates"], r"--set, value 'ppo.updates': is not an override. Write section.key=value"),
        ("", ["seed.x=1", "seed.x.y=1"], r"--set, field 'x', value 'seed.x.y=1': has no keys below it"),
        ("", ["ppo.updates=[1"], r"--set, value 'ppo.updates=\[1': the value is not YAML"),
        ("llm: {backend: openai, model: m}\n", [], r"field 'llm': the openai backend needs usd_per_million_input"),
    ],
)
def test_a_mistake_is_one_line(config_file, text, overrides, said):
    with pytest.raises(InputError, match=said) as caught:
        load(config_file(text), overrides)
    assert "\n" not in str(caught.value)


def test_missing_files_are_found_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nowhere.yaml: no such file"):
        load("nowhere.yaml")
    with pytest.raises(InputError, match=r"data/contexts.jsonl, field 'diaries.contexts': no such file"):
        check_files(RunConfig(), ["diaries"])
    check_files(RunConfig(), ["split"])  # a section that the pipeline doesn't use is not looked at


def enabled(config):
    return [step for step in STEPS if getattr(config, step).enabled]


def test_the_recipe_says_which_ways_of_training_are_taken(config_file):
    assert enabled(RunConfig()) == ["sft", "ppo"] == list(RunConfig().recipe)
    assert enabled(load(config_file("recipe: [sampling, sft]\n"))) == ["sampling", "sft"]
    assert enabled(load(config_file("seed: 1\n"), ["recipe=[sampling,dpo]"])) == ["sampling", "dpo"]
    assert enabled(load(config_file("recipe: []\n"))) == []
    assert enabled(load(config_file("recipe: [sft]\nppo: {enabled: true}\n"))) == ["sft", "ppo"], "a section may differ"


def test_a_recipe_is_written_down_once_and_reads_back(config_file, tmp_path):
    config = load(config_file("recipe: [sampling, dpo]\nsft: {enabled: true}\n"))
    (tmp_path / "again.yaml").write_text(config.text(), encoding="utf-8")
    assert load(tmp_path / "again.yaml") == config
    assert config.text().count("enabled") == 1


def test_the_environment_reaches_every_stage_that_has_one(config_file):
    config = load(config_file("environment: {task: prompt/qna, n_questions: 7}\nppo: {environment: {n_questions: 9}}\n"))
    assert config.sampling.environment.task == config.dpo.environment.task == config.ppo.environment.task == "prompt/qna"
    assert (config.sampling.environment.n_questions, config.ppo.environment.n_questions) == (7, 9)


def test_files_of_a_stage_that_is_left_out_are_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_files(RunConfig(), ["sampling"])
    with pytest.raises(InputError, match="no such file"):
        check_files(RunConfig(recipe=("sampling", "sft")), ["sampling"])
