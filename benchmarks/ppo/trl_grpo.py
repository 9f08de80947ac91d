"""A second peer: `GRPOTrainer` of the project's own TRL, on the job of `ppo_vs_trl`."""

import torch
from datasets import Dataset
from peft import LoraConfig
from task import Worker, score
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


def even_words(completions: list[str], **_) -> list[float]:
    return [score(completion) for completion in completions]


class Turns(TrainerCallback):
    """Waits before every update and reports after it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def on_step_begin(self, args, state, control, **_) -> None:
        if state.global_step == 0:
            self.worker.wait()

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if "reward" in logs:
            self.worker.done(score=logs["reward"], length=logs["completions/mean_length"])
            if state.global_step < state.max_steps:
                self.worker.wait()


def main() -> None:
    worker = Worker()
    job = worker.job
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    config = GRPOConfig(
        output_dir=job["folder"], seed=job["seed"], use_cpu=True, bf16=False, gradient_checkpointing=False,
        report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=1, lr_scheduler_type="constant",
        per_device_train_batch_size=job["rollouts"], gradient_accumulation_steps=1, max_steps=job["updates"],
        num_generations=job["group"], num_iterations=job["epochs"], learning_rate=job["learning_rate"],
        max_completion_length=job["response_length"], temperature=1.0, top_p=1.0, top_k=0, beta=job["kl_coef"],
        epsilon=job["clip"],
    )  # fmt: skip
    lora = LoraConfig(r=job["rank"], lora_alpha=2 * job["rank"], target_modules="all-linear", task_type="CAUSAL_LM")
    GRPOTrainer(
        model=job["model"], reward_funcs=even_words, args=config, processing_class=tokenizer, peft_config=lora,
        train_dataset=Dataset.from_dict({"prompt": job["prompts"]}), callbacks=[Turns(worker)],
    ).train()  # fmt: skip


if __name__ == "__main__":
    main()
