"""Small real policies in training, for tests; as a program, what one rank of a distributed run does."""

import copy
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.ppo import PPO
from memozy.environments import Scored
from memozy.modeling import LanguageModel
from memozy.policies import ADAPTER, Base, Policy
from memozy.weights import Weights
from tests import fakes
from tests.fakes import QUERIES, tiny_lm

SETTINGS = Config(rollouts=8, max_new_tokens=12, epochs=2, mini_batches=2, learning_rate=1e-2)


def policy_of(lm: LanguageModel, rank: int = 4, taught: bool = False) -> Policy:
    """A policy on a model in memory; a taught one has an adapter that says something already."""
    torch.manual_seed(0)
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(lm.model, lora, adapter_name=ADAPTER).eval()
    if taught:
        for name, p in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(p, std=0.05)
    return Policy(LanguageModel(model, lm.tokenizer), Base("tiny", None, "", Weights()), list(QUERIES))


def taught_lm() -> LanguageModel:
    """That of tests.fakes, taught once; each of these is its own."""
    lm = _taught()
    return LanguageModel(copy.deepcopy(lm.model), copy.deepcopy(lm.tokenizer))


_taught = cache(fakes.taught_lm)


class Task:
    """An environment of two queries of different length, that pays by `worth` of a response."""

    def __init__(self, worth=lambda text: min(1.0, len(text) / 40), info=None) -> None:
        self.worth, self.info = worth, info or {}

    def reset(self, update: int, n: int) -> list[str]:
        return [QUERIES[(update + i) % 2] for i in range(n)]

    def score(self, queries, responses) -> Scored:
        told = {name: np.array([of(r) for r in responses]) for name, of in self.info.items()}
        return Scored(np.array([self.worth(r) for r in responses]), told)


def trainer(config: Config = SETTINGS, lm: LanguageModel | None = None, task: Task | None = None, **changes) -> PPO:
    config = config.model_copy(update=changes)
    return PPO(ActorCritic(policy_of(lm or tiny_lm()), config.top_layers), task or Task(), config)


def two_updates(folder: Path, name: str) -> None:
    """Train the model in `folder` on this rank's share, and write what two updates made of it and said."""
    torch.set_num_threads(1)
    lm = LanguageModel.load(folder / "model")
    ppo = trainer(lm=lm, rollouts=7, micro_batch_tokens=64, top_layers=1)
    logged = {}
    for update in range(2):
        told = ppo.step(update)[0]
        logged |= {f"{update}.{k}": torch.tensor(float(v)) for k, v in told.items() if "second" not in k}
    weights = {n: p.detach().clone() for n, p in ppo.actor.trained().items()}
    save_file(weights | logged, folder / f"{name}.safetensors")


if __name__ == "__main__":
    two_updates(Path(sys.argv[1]), sys.argv[2])
