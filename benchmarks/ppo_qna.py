"""Prompts for questions: what PPO makes of a policy's prompts, by the answers of a frozen model to questions it never trained on.

    python -m benchmarks.ppo_qna [--seeds 3] [--only micro|real] [--answerer models/gemma] [--questions kobbq_qna.jsonl]

Two parts, each ending in a line of JSON. In both a policy of the micro-world is taught by SFT on mediocre prompts, then
trained by PPO with the expected reward of the answerer's answers (right 1, also where it rightly abstains; a needless
abstention 0; wrong -1), both by the stages' own run functions. Then both policies write prompts at temperature 1, and
these and a hand-written one are judged on held-back questions. A prompt with a fault counts as unreadable (-1).

micro   the answerer is data/models/assistant, the questions are data/evaluation_questions.jsonl: stories held back.
        Errors are clustered by what was done. Claimed, in every seed: PPO raises the expected reward by more than 3
        standard errors, and abstention where the context does not tell; where it tells, abstention does not rise.
real    the answerer is any model's folder, the questions any file of memozy.qna.QUESTIONS, here KoBBQ (Jin et al. 2024).
        Half of the templates they were made from are trained on, the other half is judged on; errors are clustered by
        template. Whether such an answerer can answer at all is said in a sentence.

A standard error holds both draws: of questions, in clusters, and of the policy's prompts (their variances are added).
"""

import argparse
import json
import os
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from benchmarks.qna.judging import DATA, FOUND, MEASURES, compared, difference, judge, trained
from memozy.environments import open_environment
from memozy.environments.config import EnvironmentConfig
from memozy.environments.prompt_qna import draw
from memozy.ledger import IN_MEMORY, open_ledger
from memozy.llm import LLMConfig
from memozy.qna import QUESTIONS, group_of
from memozy.records import ARMS, read_jsonl, write_jsonl

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", ROOT.parent / "shared" / "data"))
HAND_WRITTEN = (  # for a real answerer
    "다음 글을 읽고 질문에 답하세요. 글만으로 알 수 없으면 알 수 없다고 답하세요. 글: {context} 질문: {question} 선택지: {choices} 정답:"
)
RATIO = 3.0  # standard errors that are claimed


def micro(seed: int, updates: int, rollouts: int, prompts: int, n_questions: int) -> dict[str, float]:
    """One seed of the micro-world: PPO's gains over SFT and whether what is claimed holds."""
    llm = LLMConfig(model=str(DATA / "models/assistant"))
    environment = EnvironmentConfig(task="prompt/qna", answers="texts", questions=str(DATA / "questions.jsonl"),
                                    n_questions=408, inputs_per_prompt=16)  # fmt: skip
    held_back = environment.model_copy(
        update={"questions": str(DATA / "evaluation_questions.jsonl"), "n_questions": n_questions}
    )
    with tempfile.TemporaryDirectory() as scratch, open_ledger(IN_MEMORY):
        trained(environment, llm, seed, Path(scratch), updates, rollouts)
        world = open_environment(held_back, llm, ["-"], seed)
        did = [f"{kind}-{story[-2:]}" for kind, story in (q["group_id"].split("-") for q in world.questions)]
        by_hand = read_jsonl(DATA / "qna_prompts.jsonl", ARMS)["template"][0]
        print(f"\nmicro-world, seed {seed}: {prompts} prompts of each policy × {n_questions} held-back questions")
        found = compared(world, Path(scratch), by_hand, prompts, world.questions, did, seed)
    (gain, error), (untold, untold_error), (told, told_error) = (
        difference(m, found["ppo"], found["sft"], did) for m in ("reward", "abstains, untold", "abstains, told")
    )
    return {
        "gain": gain, "se": error, "untold": untold, "untold_se": untold_error, "told": told, "told_se": told_error,
        "holds": gain > RATIO * error and untold > RATIO * untold_error and told < 2 * told_error,
        **{f"{name}_{m}": found[name].mean(m) for name in FOUND for m in ("reward", "accuracy")},
    }  # fmt: skip


def halves(file: Path, folder: Path, seed: int) -> dict[str, EnvironmentConfig]:
    """The task by either half of the templates that questions were made from, «known» and «held back»."""
    rows = read_jsonl(file, QUESTIONS).to_dicts()
    groups = sorted({group_of(row["question_id"]) for row in rows})
    known = set(random.Random(seed).sample(groups, len(groups) // 2))
    found = {}
    for name, side in (("known", True), ("held back", False)):
        half = [row for row in rows if (group_of(row["question_id"]) in known) == side]
        write_jsonl(half, folder / name)
        found[name] = EnvironmentConfig(
            task="prompt/qna", questions=str(folder / name), n_questions=len(half), inputs_per_prompt=3
        )
    return found


def balanced(questions: Sequence[Mapping], n: int, seed: int) -> list[Mapping]:
    """`n` of the questions, half of them ambiguous, from as many templates as there are."""
    sides = [[q for q in questions if (q["answer"] == q["abstain"]) == untold] for untold in (True, False)]
    return [q for side in sides for q in draw(side, n // 2, random.Random(seed))]


def real(answerer: Path, file: Path, updates: int, rollouts: int, prompts: int, n_questions: int, seed: int) -> dict:
    """The same with a real answerer and real questions; the way of answering is chosen on known templates."""
    llm = LLMConfig(model=str(answerer))
    with tempfile.TemporaryDirectory() as scratch, open_ledger(IN_MEMORY):
        folder, right = Path(scratch), {}
        halved = halves(file, folder, seed)
        for answers in ("numbers", "texts"):
            world = open_environment(halved["known"].model_copy(update={"answers": answers}), llm, ["-"], seed)
            tried = balanced(world.questions, 12, seed)
            right[answers] = judge(world, [("", HAND_WRITTEN)], tried).mean("accuracy")
        answers = max(right, key=right.__getitem__)
        task = {name: half.model_copy(update={"answers": answers}) for name, half in halved.items()}
        trained(task["known"], llm, seed, folder, updates, rollouts)
        world = open_environment(task["held back"], llm, ["-"], seed)
        asked = balanced(world.questions, n_questions, seed)
        clusters = [q["group_id"] for q in asked]
        print(f"\n{answerer.name} on {file.name}, answering in {answers} ({', '.join(f'{k} {v:.2f}' for k, v in right.items())} right "
              f"on known templates): {prompts} prompts of each policy × {len(asked)} questions by held-back templates")  # fmt: skip
        found = compared(world, folder, HAND_WRITTEN, prompts, asked, clusters, seed)
    chance = float(np.mean([1 / len(q["choices"]) for q in asked]))
    bound = student.ppf(0.975, len(set(clusters)) - 1)
    intervals = {name: (mean - bound * se, mean + bound * se)
                 for name in FOUND for mean, se in [difference("accuracy", found[name], None, clusters)]}  # fmt: skip
    able = {name for name in FOUND if intervals[name][0] > chance}
    said = f"better than chance ({chance:.2f}) by its 95 % interval" + (
        f" with the prompts {', '.join(sorted(able))}" if able else ""
    )
    print(f"{answerer.name} answers {said}." if able else f"{answerer.name} cannot answer these questions: with no prompts is it {said}; "
          "so what the table says of prompts says nothing of their quality.")  # fmt: skip
    gain, error = difference("reward", found["ppo"], found["sft"], clusters)
    return {
        "answerer": answerer.name, "answers": answers, "able": sorted(able), "chance": round(chance, 3),
        "gain": round(gain, 3), "se": round(error, 3),
        **{f"{name}_{m}": round(found[name].mean(m), 3) for name in FOUND for m in MEASURES},
        **{f"{name}_accuracy_95": [round(end, 3) for end in intervals[name]] for name in FOUND},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo_qna", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="of the micro-world")
    parser.add_argument("--updates", type=int, default=30, help="of PPO in the micro-world")
    parser.add_argument("--rollouts", type=int, default=96)
    parser.add_argument("--prompts", type=int, default=48, help="of each policy, judged in the micro-world")
    parser.add_argument("--n-questions", type=int, default=96, help="held back, asked in the micro-world")
    parser.add_argument("--only", choices=("micro", "real"), help="this part alone")
    parser.add_argument("--answerer", type=Path, default=ROOT / "models/gemma")
    parser.add_argument("--questions", type=Path, default=SHARED / "kobbq_qna.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.only != "real":
        seeds = [micro(s, args.updates, args.rollouts, args.prompts, args.n_questions) for s in range(args.seeds)]
        of_all: dict[str, Callable] = {"gain": min, "se": max, "untold": min, "told": max}
        numbers = {"name": "ppo_qna", "seeds": args.seeds, "holds": sum(s["holds"] for s in seeds),
                   "ratio_min": round(min(s["gain"] / s["se"] for s in seeds), 2)}  # fmt: skip
        numbers |= {f"{key}_{of.__name__}": round(of(s[key] for s in seeds), 3) for key, of in of_all.items()}
        means = {
            key: float(np.mean([s[key] for s in seeds])) for key in seeds[0] if key.endswith(("reward", "accuracy"))
        }
        print(json.dumps(numbers | {key: round(value, 3) for key, value in means.items()}), flush=True)
    if args.only != "micro":
        missing = [str(path) for path in (args.answerer / "config.json", args.questions) if not path.exists()]
        told = {"skipped": f"not here: {', '.join(missing)}"} if missing else real(
            args.answerer, args.questions, updates=5, rollouts=8, prompts=6, n_questions=24, seed=0
        )  # fmt: skip
        print(json.dumps({"name": "ppo_qna_real", **told}, ensure_ascii=False))


if __name__ == "__main__":
    main()
