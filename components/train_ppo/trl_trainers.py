"""RLOO and GRPO: TRL's trainers, which take one update at a time as our PPO does. TRL is imported here only."""

import copy
import os
import tempfile
import time
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.experience import Experience
from components.train_ppo.losses import adapt_kl_coef, kl_k1, kl_k3
from components.train_ppo.measures import distinct, distinct_2
from memozy.environments import Environment
from memozy.generation import Replies
from memozy.modeling import load_training_state, training_state
from memozy.records import InputError

TRAINERS = {"rloo": (RLOOTrainer, RLOOConfig), "grpo": (GRPOTrainer, GRPOConfig)}
SAMPLES = 4  # rollouts of an update that are shown, each of another query


class TRLTrainer:
    """A policy in training by RLOO (Ahmadian et al. 2024, arXiv:2402.14740) or GRPO (Shao et al. 2024, arXiv:2402.03300).

    `group_size` responses to each query of the environment are compared with each other, so there is no value. All else
    is as in PPO, by the same settings: a response's reward is its score less kl_coef · KL from the reference, the policy
    as training began (TRL's own penalty is off: its coefficient cannot adapt, and GRPO's counts in the loss). Where
    truncation is not penalised, a response without EOS is not learned from: nothing here knows what would have followed.

    TRL has no use for `gamma`, `lam`, `whiten`, `value_clip`, `value_coef` and `stop_at_approx_kl`. Raises InputError
    where several processes train.
    """

    def __init__(self, actor: ActorCritic, environment: Environment, config: Config) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError("trains on one GPU only", field="ppo.algorithm", value=config.algorithm,
                             remedy="Launch one process, or take ppo")  # fmt: skip
        self.actor, self.environment, self.config = actor, environment, config
        self.kl_coef = config.kl_coef
        actor.value_head.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(actor.trained().values(), lr=config.learning_rate, weight_decay=0.0)
        self._scratch = tempfile.TemporaryDirectory(prefix="memozy-trl-")  # TRL makes a folder, and puts nothing there
        self.trainer = self._open()

    def step(self, update: int) -> tuple[dict[str, float], list[dict]]:
        """One update, from generators seeded by (seed, update). -> as PPO.step."""
        c, started = self.config, time.monotonic()
        self.update = update
        self.trainer.train_dataset = self._dataset(self.environment.reset(update, c.rollouts // c.group_size))
        with torch.random.fork_rng():
            torch.manual_seed(c.seed * 1_000_003 + update)
            self.trainer.train()
        self.actor.eval()
        numbers, samples, times = self._found
        steps = [row for row in self.trainer.state.log_history if "grad_norm" in row]
        numbers |= {
            f"ppo/{name}": sum(row[key] for row in steps) / len(steps)
            for name, key in (("policy/loss", "loss"), ("policy/clipfrac", "clip_ratio/region_mean"), ("grad_norm", "grad_norm"))
        }  # fmt: skip
        written = numbers["objective/length"] * c.rollouts
        phases = {"rollout": times[0] - started, "score": times[1] - times[0], "update": time.monotonic() - times[1]}
        numbers |= {"ppo/optimizer_steps": float(len(steps)), **{f"seconds/{k}": v for k, v in phases.items()}}
        numbers |= {f"tokens_per_second/{k}": written / max(v, 1e-9) for k, v in phases.items() if k != "update"}
        self.kl_coef = adapt_kl_coef(self.kl_coef, numbers["objective/kl"], c.kl_target, c.kl_coef)
        return numbers, samples

    def state(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Everything the next update depends on: tensors (weights, optimiser moments) and plain numbers."""
        return training_state(self.actor.trained(), self.optimizer), {"kl_coef": self.kl_coef}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
        load_training_state(self.actor.trained(), self.optimizer, tensors)
        self.kl_coef = numbers["kl_coef"]

    def _reward(self, completion_ids: Sequence[list[int]], query: Sequence[str], **_) -> list[float]:
        """What TRL asks once an update, with all rollouts in the order of the queries: each one's reward."""
        c, lm = self.config, self.actor.lm
        rolled = time.monotonic()
        texts = [lm.text(tokens) for tokens in completion_ids]
        scored = self.environment.score(query, texts)
        judged = time.monotonic()
        replies = Replies(list(completion_ids), finished=[tokens[-1] == lm.eos_id for tokens in completion_ids])
        ids = {q: lm.chat_ids(q) for q in set(query)}
        x = Experience.of(self.actor, [ids[q] for q in query], replies, c)
        mask, lengths = x.rollouts.mask(), x.rollouts.responses  # [B, R], [B]
        scores = x.scores(torch.tensor(np.asarray(scored.scores), dtype=torch.float32, device=lm.device), c)  # [B]
        rewards = x.rewards(scores, self.kl_coef, c).sum(dim=1)  # [B]
        kl = kl_k1(x.old_logp, x.ref_logp, mask)  # [B]
        info = {name: np.asarray(values, float) for name, values in scored.info.items()}
        numbers = {
            "step": self.update,
            "objective/score": scores.mean().item(),
            **{_name(key): float(np.nanmean(v)) for key, v in info.items() if not np.isnan(v).all()},
            "objective/reward": rewards.mean().item(),
            "objective/kl": kl.mean().item(),
            "objective/kl_k3": kl_k3(x.old_logp, x.ref_logp, mask).mean().item(),
            "objective/kl_coef": self.kl_coef,
            "objective/entropy": -x.old_logp[mask > 0].mean().item(),
            "objective/length": lengths.float().mean().item(),
            "objective/eos_rate": x.finished.float().mean().item(),
            "objective/distinct": distinct(texts),
            "objective/distinct_2": distinct_2(texts),
        }
        if {"objective/proxy", "objective/gold"} <= numbers.keys():
            numbers["objective/gap"] = numbers["objective/proxy"] - numbers["objective/gold"]
        samples = [
            {"step": self.update, "query": query[i], "response": texts[i], "score": scores[i].item(), "kl": kl[i].item(),
             **({"gold": float(info["gold"][i])} if "gold" in info else {})}
            for i in range(0, len(texts), c.group_size)
        ]  # fmt: skip
        self._found = numbers, samples[:SAMPLES], (rolled, judged)
        return rewards.tolist()

    def _dataset(self, queries: Sequence[str]) -> Dataset:
        """One row per query. TRL's sampler gives them in this order, each `group_size` times in a row, once an update.

        The prompts give the tokens of `LanguageModel.chat_ids`: a chat where there is a template, else plain text.
        """
        chat = self.actor.lm.tokenizer.chat_template
        return Dataset.from_list(
            [{"prompt": [{"role": "user", "content": q}] if chat else q + "\n", "query": q} for q in queries]
        )

    def _open(self) -> RLOOTrainer | GRPOTrainer:
        c, lm = self.config, self.actor.lm
        trainer, settings = TRAINERS[c.algorithm]
        queries = self.environment.reset(0, c.rollouts // c.group_size)
        rows = _rows(c, max(len(lm.chat_ids(q)) for q in queries) + c.max_new_tokens)
        with warnings.catch_warnings():  # TRL's own default goes by a name that transformers gives up
            warnings.simplefilter("ignore", FutureWarning)
            args = settings(
                output_dir=self._scratch.name, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
                use_cpu=lm.device.type == "cpu", bf16=False, gradient_checkpointing=False, seed=c.seed,
                num_train_epochs=1, num_generations=c.group_size, num_iterations=c.epochs, shuffle_dataset=False,
                per_device_train_batch_size=rows, generation_batch_size=c.rollouts,
                gradient_accumulation_steps=c.rollouts // c.mini_batches // rows,
                max_completion_length=c.max_new_tokens, temperature=c.temperature, epsilon=c.clip, beta=0.0,
                mask_truncated_completions=c.truncation == "bootstrap", disable_dropout=True,
                lr_scheduler_type="constant", max_grad_norm=c.max_grad_norm,
            )  # fmt: skip
        for module in lm.model.modules():  # what TRL's switch for dropout layers does not reach
            if isinstance(getattr(module, "attention_dropout", None), float):
                module.attention_dropout = 0.0
        lm.model.generation_config.eos_token_id = lm.eos_id  # what ends a response, here as in PPO
        trained = self.actor.trained().values()
        opened = trainer(
            lm.model, self._reward, args, self._dataset(queries), processing_class=copy.deepcopy(lm.tokenizer),
            optimizers=(self.optimizer, None),
        )  # fmt: skip
        opened.remove_callback(PrinterCallback)
        if "ref" in lm.model.peft_config:  # a copy of the adapter that a penalty of TRL's own would need
            lm.model.delete_adapter("ref")
        for p in trained:
            p.requires_grad_(True)
        return opened


def _rows(config: Config, longest: int) -> int:
    """Rollouts of one forward and backward: as many of up to `longest` tokens as the budget holds, a whole part of a
    mini-batch."""
    whole = config.rollouts // config.mini_batches
    return max(
        n for n in range(1, whole + 1) if whole % n == 0 and (n == 1 or n * longest <= config.micro_batch_tokens)
    )


def _name(key: str) -> str:
    return f"objective/{key}" if key in ("proxy", "gold") else f"env/{key}"
