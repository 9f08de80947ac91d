"""Our PPO at the size it is meant for: how fast one GPU is with it, and how much memory it takes.

    python -m benchmarks.ppo_gpu [--steps 3] [--peak-tflops 989]
    python -m benchmarks.ppo_gpu --dry-run      everything tiny, on the CPU: shows only that it runs

Two steps of training, in bfloat16 and with random weights, which are as much work as any others:

ppo       a Llama of 2.4B parameters (30 layers, hidden size 2560, 102,400 tokens) answers 64 queries of 256 tokens with
          256 tokens each, scored at once; LoRA of rank 16 on every linear layer, 4 epochs of 4 mini-batches
prompt/qna  the same policy's replies are prompts, each of which asks a frozen Llama of 8B parameters 16 questions of
          about 100 tokens; the score is the expected reward by the likelihoods of the choices. A random policy names no
          slots, so they are put behind its reply.

The first step warms up and is not counted; figures are medians of the others. Model FLOPs count what has to be computed:
2 a parameter and token forward, 2 more for the gradient of the activations (the weights are frozen), attention by its
causal half, the head on response tokens only; no recomputation, no padding, and nothing for the adapter. MFU is their
rate by the GPU's peak for dense bfloat16.
"""

import argparse
import json
import random
import statistics
import sys
from dataclasses import dataclass

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.ppo.models import some_words, word_tokenizer
from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.ppo import PPO
from memozy.environments import Scored
from memozy.environments.prompt_qna import KINDS, evaluate, kinds_of
from memozy.modeling import LanguageModel
from memozy.policies import ADAPTER, Base, Policy
from memozy.qna import REWARDS
from memozy.weights import Weights

PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "B200": 2250}  # dense bfloat16
PHASES = ("rollout", "score", "update")
SLOTS = "{context} {question} {choices}"


@dataclass(frozen=True)
class Llama:
    hidden: int
    layers: int
    inner: int
    heads: int
    kv_heads: int
    words: int

    def build(self, device: str) -> LanguageModel:
        """With random weights, and a tokenizer of whole words."""
        tokenizer = word_tokenizer(["1", "2", "3", *(f"w{i}" for i in range(self.words))])
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=self.hidden, num_hidden_layers=self.layers,
            intermediate_size=self.inner, num_attention_heads=self.heads, num_key_value_heads=self.kv_heads,
            max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        torch.manual_seed(0)
        with torch.device(device):
            model = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
        return LanguageModel(model.eval().requires_grad_(False), tokenizer)


@dataclass(frozen=True)
class Scale:
    """What one step is made of. Lengths are tokens."""

    policy: Llama
    answerer: Llama
    rollouts: int
    query: int
    response: int
    questions: int

    def config(self) -> Config:
        return Config(
            rollouts=self.rollouts, max_new_tokens=self.response, epochs=4, mini_batches=4, micro_batch_tokens=16384,
            truncation="bootstrap", kl_target=1e9, kl_limit=1e9, stop_at_approx_kl=1e9, learning_rate=1e-5,
        )  # fmt: skip


FULL = Scale(Llama(2560, 30, 7168, 32, 8, 102_400), Llama(4096, 32, 14336, 32, 8, 128_256), 64, 256, 256, 16)
DRY = Scale(Llama(32, 2, 64, 4, 2, 500), Llama(32, 2, 64, 4, 2, 500), 8, 16, 8, 3)


class Lengths:
    """An environment of random queries whose score costs nothing."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale

    def reset(self, update: int, n: int) -> list[str]:
        rng = random.Random(update)
        return [some_words(self.scale.query, self.scale.policy.words, rng) for _ in range(n)]

    def score(self, queries: list[str], responses: list[str]) -> Scored:
        return Scored(np.array([min(1.0, len(set(r.split())) / self.scale.response) for r in responses]), {})


class Questions(Lengths):
    """An environment that is worth what `answerer` makes of random questions, as in prompt/qna."""

    def __init__(self, scale: Scale, answerer: LanguageModel) -> None:
        super().__init__(scale)
        rng, words = random.Random(0), scale.answerer.words
        self.answerer = answerer
        self.questions = [
            {"context": some_words(70, words, rng), "question": some_words(15, words, rng),
             "choices": [some_words(3, words, rng) for _ in range(3)], "answer": 0, "abstain": 2}
            for _ in range(scale.questions)
        ]  # fmt: skip

    def score(self, queries: list[str], responses: list[str]) -> Scored:
        p, _ = evaluate(self.answerer, [f"{text} {SLOTS}" for text in responses], self.questions)
        kinds = kinds_of(p, self.questions)  # [B, Q, KINDS]
        return Scored((kinds @ np.array([REWARDS[kind] for kind in KINDS])).mean(axis=1), {})


def policy_of(lm: LanguageModel) -> Policy:
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(lm.model, lora, adapter_name=ADAPTER).eval()
    return Policy(LanguageModel(adapted, lm.tokenizer), Base("random", None, "", Weights(dtype="bfloat16")))


def flops(scale: Scale, config: Config) -> dict[str, float]:
    """What the policy has to compute in a step, by phase; score: nothing of it."""
    m, n = scale.policy, scale.rollouts
    kv = m.hidden // m.heads * m.kv_heads
    trunk = m.layers * (2 * m.hidden**2 + 2 * m.hidden * kv + 3 * m.hidden * m.inner)
    head, length = m.hidden * m.words, scale.query + scale.response
    body = n * (2 * trunk * length + 2 * m.layers * m.hidden * length**2)  # one forward over everything
    said = n * 2 * head * scale.response
    attention = n * 2 * m.layers * m.hidden * length**2
    epoch = 2 * body + attention + 2 * said  # backward: weights once more, attention twice more, the head's slope
    return {"rollout": body + said, "update": 2 * (body + said) + config.epochs * epoch}


def measure(environment: Lengths, policy: Policy, config: Config, steps: int) -> dict[str, float]:
    """Medians over `steps` of each phase's seconds, and the peak of allocated memory, GB."""
    ppo = PPO(ActorCritic(policy), environment, config)
    cuda = policy.lm.device.type == "cuda"
    rows = []
    for step in range(steps + 1):
        if step == 1 and cuda:
            torch.cuda.reset_peak_memory_stats()
        rows.append(ppo.step(step)[0])
    found = {phase: statistics.median(row[f"seconds/{phase}"] for row in rows[1:]) for phase in PHASES}
    found["length"] = statistics.mean(row["objective/length"] for row in rows[1:])
    found["padding"] = statistics.mean(row["ppo/padding"] for row in rows[1:])
    return found | ({"memory": torch.cuda.max_memory_allocated() / 1e9} if cuda else {})


def show(name: str, found: dict[str, float], scale: Scale) -> float:
    """Print what a step took; -> its seconds."""
    total = sum(found[phase] for phase in PHASES)
    split = ", ".join(f"{phase} {found[phase]:.2f} s ({found[phase] / total:.0%})" for phase in PHASES)
    tokens = scale.rollouts * (scale.query + found["length"])
    print(f"{name:11} {total:.2f} s a step: {split}; {tokens / total:.0f} tokens/s, of responses "
          f"{scale.rollouts * found['length'] / total:.0f}, decoding {scale.rollouts * found['length'] / found['rollout']:.0f}; "
          f"{found.get('memory', 0):.1f} GB; padding {found['padding']:.0%}")  # fmt: skip
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="counted steps of each kind")
    parser.add_argument(
        "--peak-tflops", type=float, help="of this GPU, dense bfloat16, where its name is not known here"
    )
    parser.add_argument("--dry-run", action="store_true", help="everything tiny, on the CPU, one step of each kind")
    args = parser.parse_args()
    if not args.dry_run and not torch.cuda.is_available():
        print("ppo_gpu needs a GPU, and there is none here; --dry-run shows that it would run", file=sys.stderr)
        sys.exit(2)
    device = "cpu" if args.dry_run else "cuda"
    scale, steps = (DRY, 1) if args.dry_run else (FULL, args.steps)
    gpu = "CPU, dry run" if args.dry_run else torch.cuda.get_device_name()
    peak = args.peak_tflops or next((tflops for name, tflops in PEAK_TFLOPS.items() if name in gpu), None)
    if peak is None and not args.dry_run:
        parser.error(f"the peak of {gpu} is not known here; give --peak-tflops")

    config = scale.config()
    policy = policy_of(scale.policy.build(device))
    print(f"{gpu}; policy of {policy.lm.model.get_base_model().num_parameters() / 1e9:.2f}B parameters with its adapter, "
          f"{scale.rollouts} rollouts of {scale.query} + {scale.response} tokens, {config.epochs} epochs")  # fmt: skip
    alone = measure(Lengths(scale), policy, config, steps)
    seconds = show("ppo", alone, scale)
    work = flops(scale, config)
    rate = {phase: work[phase] / alone[phase] / 1e12 for phase in work} | {"step": sum(work.values()) / seconds / 1e12}
    mfu = {phase: value / peak if peak else None for phase, value in rate.items()}
    print(
        f"{'':11} "
        + ", ".join(f"{k} {v:.3g} TFLOP/s" + (f" (MFU {mfu[k]:.1%})" if peak else "") for k, v in rate.items())
    )

    del policy
    policy = policy_of(scale.policy.build(device))
    two = measure(Questions(scale, scale.answerer.build(device)), policy, config, steps)
    seconds_two = show("prompt/qna", two, scale)
    asked = scale.rollouts * scale.questions / two["score"]
    print(f"{'':11} {asked:.0f} questions/s answered by likelihoods")
    print(json.dumps({
        "name": "ppo_gpu", "device": gpu, "dry_run": args.dry_run, "unit": "tokens/s",
        "ours": round(scale.rollouts * (scale.query + alone["length"]) / seconds),
        "seconds": round(seconds, 3), **{f"seconds_{p}": round(alone[p], 3) for p in PHASES},
        **{f"mfu_{k}": round(v, 4) if v else None for k, v in mfu.items()},
        "memory_gb": None if args.dry_run else round(alone["memory"], 1),
        "qna_seconds": round(seconds_two, 3), **{f"qna_seconds_{p}": round(two[p], 3) for p in PHASES},
        "qna_questions_per_second": round(asked), "qna_memory_gb": None if args.dry_run else round(two["memory"], 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
