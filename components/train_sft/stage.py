"""Stage `train_sft`: teaches a causal LM to follow the instruction data, on a LoRA adapter that is then merged."""

import random

import torch
from peft import LoraConfig, get_peft_model

from components.train_sft.config import Config
from components.train_sft.sft import collate, loss, tokenize, train
from memozy.modeling import LanguageModel
from memozy.records import INSTRUCTIONS, InputError, read_jsonl, write_jsonl
from memozy.stages import Out, Progress, Result


def run(config: Config, *, sft: Out) -> Result:
    """Read instruction data (JSONL); write `sft`: `model/` and the distinct `queries.jsonl` it was taught to answer.

    Raises InputError where too few rows are left to train on and to hold out.
    """
    rows = read_jsonl(config.instructions, INSTRUCTIONS).to_dicts()
    random.Random(config.seed).shuffle(rows)
    n_held_out = round(config.held_out * len(rows))
    if n_held_out < 1 or len(rows) - n_held_out < config.batch_size:
        raise InputError(f"holds {len(rows)} rows: too few to train in batches of {config.batch_size} and hold out "
                         f"{config.held_out:.0%}", file=config.instructions, remedy="Add rows or lower sft.batch_size")  # fmt: skip
    try:
        lm = LanguageModel.load(config.model)
    except OSError:
        raise InputError("no model can be loaded from here", field="sft.model", value=config.model,
                         remedy="Give a folder or hub name") from None  # fmt: skip
    examples = [tokenize(lm, query(row), row["output"]) for row in rows]
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(lm.model, lora)

    held_out = collate(examples[:n_held_out], lm.pad_id)
    before = _nats(model, held_out)
    progress = Progress("train_sft", config.steps, "steps")
    train(model, examples[n_held_out:], steps=config.steps, batch_size=config.batch_size, warmup=max(1, config.steps // 10),
          learning_rate=config.learning_rate, pad_id=lm.pad_id, seed=config.seed,
          on_step=lambda step, value: progress.advance(loss=value))  # fmt: skip
    after = _nats(model, held_out)

    LanguageModel(model.merge_and_unload(), lm.tokenizer).save(sft / "model")
    write_jsonl(({"query": q} for q in sorted({query(row) for row in rows})), sft / "queries.jsonl")
    return Result({"n_rows": len(rows), "held_out_loss_before": before, "held_out_loss": after})


def query(row: dict) -> str:
    """What the model is asked: the instruction, and its input on a line of its own where there is one."""
    return f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"]


@torch.no_grad()
def _nats(model: torch.nn.Module, held_out: tuple) -> float:
    model.eval()
    return loss(model, *held_out).item()
