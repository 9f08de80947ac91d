"""Our PPO on the job of `ppo_vs_trl`."""

import numpy as np
import torch
from task import Worker, score

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.ppo import PPO
from memozy import policies
from memozy.environments import Scored
from memozy.weights import Weights

NEVER = 1e9  # a bound that is never reached: the coefficient stays as it is, and nothing is cut or stopped


class Words:
    """The task as an environment: every update the same queries, in the order that the job names them."""

    def __init__(self, queries: list[str]) -> None:
        self.queries = queries

    def reset(self, update: int, n: int) -> list[str]:
        return self.queries[:n]

    def score(self, queries: list[str], responses: list[str]) -> Scored:
        return Scored(np.array([score(response) for response in responses]), {})


def main() -> None:
    worker = Worker()
    job = worker.job
    torch.set_num_threads(1)
    policy = policies.start(job["model"], Weights(), job["rank"], job["seed"])
    config = Config(
        updates=job["updates"], rollouts=job["rollouts"], max_new_tokens=job["response_length"], temperature=1.0,
        kl_coef=job["kl_coef"], kl_target=NEVER, kl_limit=NEVER, truncation="bootstrap", gamma=1.0,
        lam=job["lam"], clip=job["clip"], value_clip=job["value_clip"], epochs=job["epochs"],
        mini_batches=job["mini_batches"], top_layers=job.get("top_layers"), learning_rate=job["learning_rate"],
        max_grad_norm=NEVER, stop_at_approx_kl=NEVER, seed=job["seed"],
    )  # fmt: skip
    ppo = PPO(ActorCritic(policy, config.top_layers), Words(job["prompts"]), config)
    for update in range(config.updates):
        worker.wait()
        numbers, _ = ppo.step(update)
        worker.done(
            score=numbers["objective/score"], kl=numbers["objective/kl"], length=numbers["objective/length"],
            **{phase: numbers[f"seconds/{phase}"] for phase in ("rollout", "update")},
        )  # fmt: skip


if __name__ == "__main__":
    main()
