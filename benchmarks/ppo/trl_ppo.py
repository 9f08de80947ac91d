"""The peer: `trl.experimental.ppo.PPOTrainer` of TRL 1.12.0, run in an environment of its own by `ppo_vs_trl`."""

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from task import ANSWER, Worker, score
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from transformers.modeling_outputs import BaseModelOutput
from trl.experimental.ppo import PPOConfig, PPOTrainer


class Scorer(nn.Module):
    """The task's score in the shape of a reward model, since PPOTrainer takes no callable."""

    base_model_prefix = "backbone"

    def __init__(self, tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.answer = tokenizer.convert_tokens_to_ids(ANSWER)

    def backbone(self, input_ids, attention_mask, **_) -> BaseModelOutput:
        scores = []
        for row, seen in zip(input_ids, attention_mask, strict=True):
            row = row[seen.bool()]
            start = int((row == self.answer).int().argmax()) + 1
            scores.append(score(self.tokenizer.decode(row[start:], skip_special_tokens=True)))
        values = torch.tensor(scores)[:, None, None].expand(*input_ids.shape, 1)  # [B, T, 1]
        return BaseModelOutput(hidden_states=(values,))

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


class Turns(TrainerCallback):
    """Waits before every update and reports after it."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.logged = worker, {}

    def on_train_begin(self, args, state, control, **_) -> None:
        self.worker.wait()

    def on_log(self, args, state, control, logs=None, **_) -> None:
        self.logged = logs

    def on_step_end(self, args, state, control, **_) -> None:
        self.worker.done(score=self.logged["objective/scores"], kl=self.logged["objective/kl"])
        if state.global_step < state.max_steps:
            self.worker.wait()


def main() -> None:
    worker = Worker()
    job = worker.job
    torch.set_num_threads(1)
    torch.manual_seed(job["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    critic = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=1, dtype=torch.float32)
    lora = {"r": job["rank"], "lora_alpha": 2 * job["rank"], "target_modules": "all-linear"}
    critic = get_peft_model(critic, LoraConfig(task_type="SEQ_CLS", **lora))
    config = PPOConfig(
        output_dir=job["folder"], seed=job["seed"], use_cpu=True, bf16=False, gradient_checkpointing=False,
        report_to="none", save_strategy="no", disable_tqdm=True, num_sample_generations=0, lr_scheduler_type="constant",
        # without accumulation: with it, TRL 1.12 steps only once in so many mini-batches
        per_device_train_batch_size=job["rollouts"], gradient_accumulation_steps=1,
        num_mini_batches=job["mini_batches"], local_rollout_forward_batch_size=job["rollouts"],
        total_episodes=job["rollouts"] * job["updates"], num_ppo_epochs=job["epochs"], learning_rate=job["learning_rate"],
        response_length=job["response_length"], stop_token="eos", temperature=1.0, kl_coef=job["kl_coef"],
        cliprange=job["clip"], cliprange_value=job["value_clip"], gamma=1.0, lam=job["lam"],
    )  # fmt: skip
    trainer = PPOTrainer(
        args=config, processing_class=tokenizer, model=policy, ref_model=None, reward_model=Scorer(tokenizer),
        value_model=critic, train_dataset=Dataset.from_dict(dict(tokenizer(job["prompts"]))),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **lora), callbacks=[Turns(worker)],
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main()
