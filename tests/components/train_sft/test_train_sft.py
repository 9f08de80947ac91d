import pytest

from components.train_sft.config import Config
from components.train_sft.stage import query, run
from memozy.modeling import LanguageModel
from memozy.records import QUERIES, InputError, read_jsonl, write_jsonl


def test_it_lowers_the_held_out_loss_and_writes_plain_weights(data, tmp_path):
    config = Config(model=str(data / "models/policy"), instructions=str(data / "instructions.jsonl"), steps=8)
    result = run(config, sft=tmp_path / "sft")
    assert result.metrics["held_out_loss"] < result.metrics["held_out_loss_before"]
    names = LanguageModel.load(tmp_path / "sft/model").model.state_dict()
    assert not any("lora" in name for name in names)
    assert len(read_jsonl(tmp_path / "sft/queries.jsonl", QUERIES)) == 3


def test_an_input_stands_below_its_instruction():
    assert query({"instruction": "써 줘.", "input": ""}) == "써 줘."
    assert query({"instruction": "써 줘.", "input": "바다"}) == "써 줘.\n바다"


def test_too_few_rows(data, tmp_path):
    rows = [{"instruction": "써 줘.", "input": "", "output": str(i)} for i in range(20)]
    write_jsonl(rows, tmp_path / "few.jsonl")
    config = Config(model=str(data / "models/policy"), instructions=str(tmp_path / "few.jsonl"))
    with pytest.raises(InputError, match="few.jsonl: holds 20 rows: too few to train in batches of 32"):
        run(config, sft=tmp_path / "sft")


def test_no_model_there(data, tmp_path):
    config = Config(model=str(tmp_path / "nothing"), instructions=str(data / "instructions.jsonl"))
    with pytest.raises(InputError, match="field 'sft.model'.*no model can be loaded from here"):
        run(config, sft=tmp_path / "sft")
