"""`train_qna_policy`: a policy that writes prompts for answering questions, where a verifier knows what is right.

The same four ways to train it as in `train_policy`, with the same `recipe`; no rating and no reward model is needed.
"""

from kfp import dsl

from components.sample_and_filter.component import sample_and_filter
from components.train_dpo.component import train_dpo
from components.train_ppo.component import train_ppo
from components.train_sft.component import train_sft


@dsl.pipeline(name="train-qna-policy", description="A policy that writes prompts for questions with a right answer.")
def train_qna_policy(
    sampling: dict = {},
    sft: dict = {},
    dpo: dict = {},
    ppo: dict = {},
):
    kept = sample_and_filter(config=sampling)
    base = train_sft(config=sft, kept=kept.outputs["kept"])
    preferring = train_dpo(config=dpo, sft=base.outputs["sft"], pairs=kept.outputs["pairs"])
    train_ppo(config=ppo, start=preferring.outputs["dpo"])
