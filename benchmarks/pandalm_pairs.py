"""Which of two answers did people prefer? Bradley-Terry models on PandaLM's test set, against «the longer one».

    MEMOZY_SHARED_DATA=<folder> python -m benchmarks.pandalm_pairs [--lora BASE]

Two models' answers to an instruction, three annotators: what most of them preferred is to be told, with whole
instructions held out (5 times 10 folds). Every candidate gives an answer a utility by itself, without seeing the other.
The one to be compared with the longer answer is the mean of all, named so beforehand: no figure was chosen for being
the best. Intervals (95 %) are from a bootstrap over instructions. --lora: TRL's RewardTrainer on that base too.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from components.train_reward.metrics import mean_interval, paired
from components.train_reward.pairs import fit_bradley_terry, log_loss, wins
from memozy.texts import clean

DATA = Path(os.environ.get("MEMOZY_SHARED_DATA", "../shared/data")) / "pandalm_pairs.jsonl"
TEXTS = ("instruction", "input", "response1", "response2")
REPEATS, FOLDS = 5, 10
ALPHA = 15.0  # the ridge penalty of every Bradley-Terry fit here
FUNCTION_WORDS = frozenset(
    "a an and any are as at be been by can do for from given has have how i if in is it not of on or our should that "
    "the their them they this to we what will with you your".split()
)


@dataclass(frozen=True)
class Answer:
    """What was asked, with what input, and one model's answer."""

    instruction: str
    input: str
    text: str


def load(path: Path) -> tuple[list[Answer], list[Answer], Counter]:
    """Chosen and rejected answers of each row with a majority, and how many rows fell out for which reason."""
    chosen, rejected, rows = [], [], Counter()
    for row in map(json.loads, path.read_text(encoding="utf-8").strip().split("\n")):
        if not all(isinstance(row[name], str) for name in TEXTS):
            rows["quarantined: holds what is not text"] += 1
            continue
        instruction, given, *answers = (clean(row[name]) for name in TEXTS)
        verdict, votes = Counter(row[f"annotator{i}"] for i in (1, 2, 3)).most_common(1)[0]
        if not instruction:
            rows["quarantined: no instruction"] += 1
        elif votes < 2:
            rows["dropped: no majority"] += 1
        elif verdict == 0:
            rows["dropped: the majority calls it a tie"] += 1
        else:
            rows["compared"] += 1
            chosen.append(Answer(instruction, given, answers[verdict - 1]))
            rejected.append(Answer(instruction, given, answers[2 - verdict]))
    return chosen, rejected, rows


def observations(answer: Answer) -> list[float]:
    """What a reader sees at a glance: how much is said, how much of it anew, whether it answers, copies, repeats."""
    words, asked, given = (re.findall(r"\w+", text.lower()) for text in (answer.text, answer.instruction, answer.input))
    lines = [line.strip() for line in answer.text.split("\n") if line.strip()]
    bare = {re.sub(r"^(\d+[.)]|[-*•])\s*", "", line).lower() for line in lines}
    content, about, material = (set(w) - FUNCTION_WORDS for w in (words, asked, given))
    fours, asked_fours, given_fours = (set(zip(*(w[i:] for i in range(4)), strict=False)) for w in (words, asked, given))
    return [
        np.log1p(len(answer.text)),
        np.log1p(len(set(words))),
        np.log1p(len(set(words) - set(asked) - set(given))),  # what it adds
        len(content & about) / max(len(about), 1),  # how much of the instruction it takes up
        len(content & material) / max(len(material), 1),
        len(fours & asked_fours) / max(len(fours), 1),  # how much of it is copied
        len(fours & given_fours) / max(len(fours), 1),
        float(answer.text in (answer.instruction, answer.input)),
        1 - len(set(words)) / max(len(words), 1),  # repetition: of words, phrases and lines
        1 - len(fours) / (len(words) - 3) if len(words) > 3 else 0.0,
        1 - len(bare) / max(len(lines), 1),
        float(not answer.text),
        float(re.search(r"[.!?\"')\]|]$", answer.text) is not None),  # it comes to an end
        np.log1p(len(lines)),
        np.log1p(sum(re.match(r"\d+[.)]|[-*•]", line) is not None for line in lines)),
    ]


class Answers:
    """Chosen answers, and after them the rejected ones: 2m. What is read off each alone is computed once."""

    def __init__(self, chosen: list[Answer], rejected: list[Answer]) -> None:
        self.all, self.m = chosen + rejected, len(chosen)
        self.texts = [a.text for a in self.all]
        self.groups = np.array([a.instruction for a in chosen])

    @cached_property
    def observed(self) -> np.ndarray:
        return np.array([observations(a) for a in self.all])

    @cached_property
    def embedded(self) -> np.ndarray:
        """(2m, 1026): the answer's vector, its product with that of what was asked, and their cosines."""
        from memozy.reward.encoders import EMBEDDED, encode

        said = encode(self.texts, EMBEDDED)
        asked = encode([f"{a.instruction} {a.input}" for a in self.all], EMBEDDED)
        instruction = encode([a.instruction for a in self.all], EMBEDDED)
        cosines = [(said * other).sum(axis=1, keepdims=True) for other in (asked, instruction)]
        return np.hstack([said, said * asked, *cosines])

    def rows(self, pairs: np.ndarray) -> np.ndarray:
        """Positions of both answers of some pairs."""
        return np.concatenate([pairs, pairs + self.m])


def scaled(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(values[rows]).transform(values)


def utility(features, answers: Answers, train: np.ndarray) -> np.ndarray:
    """(2m,): Bradley-Terry on `features` (2m, d), fitted on the pairs `train`."""
    return features @ fit_bradley_terry(features[train] - features[train + answers.m], alpha=ALPHA)


def glance(answers: Answers, train: np.ndarray) -> np.ndarray:
    return utility(scaled(answers.observed, answers.rows(train)), answers, train)


def with_grams(analyzer: str, ngrams: tuple[int, int]) -> Callable:
    def candidate(answers: Answers, train: np.ndarray) -> np.ndarray:
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer

        rows = answers.rows(train)
        grams = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, min_df=3, sublinear_tf=True)
        counted = grams.fit([answers.texts[i] for i in rows]).transform(answers.texts)
        observed = scaled(answers.observed, rows)
        return utility(sparse.hstack([observed, 3 * counted], format="csr"), answers, train)

    return candidate


def with_embeddings(answers: Answers, train: np.ndarray) -> np.ndarray:
    observed = scaled(answers.observed, answers.rows(train))
    return utility(np.hstack([observed, 3 * answers.embedded]), answers, train)


def kernel(answers: Answers, train: np.ndarray) -> np.ndarray:
    """An RBF kernel over glance and embeddings, by Nystroem features: utilities need not be linear."""
    from sklearn.kernel_approximation import Nystroem

    rows = answers.rows(train)
    both = np.hstack([scaled(answers.observed, rows), 3 * answers.embedded])
    mapped = Nystroem(gamma=0.01, n_components=300, random_state=0).fit(both[rows]).transform(both)
    return utility(6 * mapped, answers, train)


CANDIDATES = {
    "at a glance": glance,
    "+ words": with_grams("word", (1, 2)),
    "+ characters": with_grams("char_wb", (2, 5)),
    "+ embeddings": with_embeddings,
    "kernel": kernel,
}


def lora(base: str) -> Callable:
    def candidate(answers: Answers, train: np.ndarray) -> np.ndarray:
        from components.train_reward.config import Lora
        from components.train_reward.lora import train_pairs

        texts = [f"{a.instruction}\n{a.input}\n\n{a.text}" for a in answers.all]
        chosen, rejected = ([texts[i] for i in rows] for rows in (train, train + answers.m))
        return train_pairs(chosen, rejected, Lora(base=base), seed=0).predict(texts)

    return candidate


def cross_validated(answers: Answers, candidates: dict[str, Callable]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Utilities of chosen and rejected answers whose instruction was held out: name -> two of (REPEATS, m).

    "mean of all": of the candidates' utilities, which are all log-odds.
    """
    from sklearn.model_selection import GroupKFold

    said = {name: np.empty((REPEATS, 2 * answers.m)) for name in [*candidates, "mean of all"]}
    for repeat in range(REPEATS):
        folds = GroupKFold(FOLDS, shuffle=True, random_state=repeat).split(answers.groups, groups=answers.groups)
        for train, held_out in folds:
            rows = answers.rows(held_out)
            utilities = {name: fit(answers, train)[rows] for name, fit in candidates.items()}
            for name, u in (utilities | {"mean of all": np.mean(list(utilities.values()), axis=0)}).items():
                said[name][repeat, rows] = u
        print(f"… {repeat + 1}/{REPEATS} repeats", file=sys.stderr, flush=True)
    return {name: (u[:, : answers.m], u[:, answers.m :]) for name, u in said.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pandalm_pairs", description=__doc__.splitlines()[0])
    parser.add_argument("--lora", metavar="BASE", help="a folder or hub name")
    base = parser.parse_args().lora
    if not DATA.is_file():
        print(f"skipped: {DATA} is not here; MEMOZY_SHARED_DATA names the folder that holds it")
        sys.exit()
    chosen, rejected, rows = load(DATA)
    answers = Answers(chosen, rejected)
    for reason, n in rows.items():
        print(f"{n:>5} rows {reason}")
    print(f"{len(set(answers.groups)):>5} instructions, each held out whole\n")

    longest = wins([len(a.text) for a in chosen], [len(a.text) for a in rejected])
    value, low, high = mean_interval(longest, answers.groups)
    print(f"{'':<22}{'accuracy (ties 1/2)':<24}{'gain over the longer':<26}log loss")
    print(f"{'the longer answer':<22}{value:.3f} [{low:.3f}, {high:.3f}]")
    line = {"name": "pandalm_pairs", "peer": "the longer answer", "theirs": round(value, 4), "n": len(chosen)}
    said = cross_validated(answers, CANDIDATES | ({"RewardTrainer": lora(base)} if base else {}))
    for name, (u_chosen, u_rejected) in said.items():
        won = wins(u_chosen, u_rejected)
        accuracy, gain = mean_interval(won.mean(axis=0), answers.groups), paired(won, longest, answers.groups)
        print(f"{name:<22}{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]    {gain.value:+.3f} "
              f"[{gain.low:+.3f}, {gain.high:+.3f}]   {log_loss(u_chosen, u_rejected).mean():.3f}")  # fmt: skip
    print("\nThe mean of all tells what people prefer better than length does." if gain.low > 0 else
          "\nNo gain over length is shown: the interval does not lie above 0.")  # fmt: skip
    print(json.dumps(line | {"ours": round(accuracy.value, 4), "ratio": round(accuracy.value / value, 3), "unit": "accuracy",
                             "gain": round(gain.value, 4), "gain_low": round(gain.low, 4),
                             "gain_high": round(gain.high, 4)}))  # fmt: skip


if __name__ == "__main__":
    main()
