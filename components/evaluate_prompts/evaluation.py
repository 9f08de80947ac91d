"""One evaluation: the rows of `pulls`, and everything that follows from them."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.decide import Decision, Plan
from components.evaluate_prompts.estimate import Estimates, corrected
from components.evaluate_prompts.rounds import matrices, next_pulls, next_ratings
from components.evaluate_prompts.samplers import UCB1
from components.evaluate_prompts.sheet import read_sheet
from memozy.llm import ChatModel, open_llm
from memozy.records import ARMS, PULLS, SIMULATED, InputError, fill, read, read_contexts
from memozy.reward import RewardModel, ScoreCache
from memozy.stages import Progress, digest


class Evaluation:
    """The rows of `pulls` and what follows from them. Every change is in the journal before it counts."""

    def __init__(self, config: Config, arms: Path, reward: Path, journal: Path) -> None:
        self.config, self.journal = config, journal
        self.table = read(arms, ARMS)
        self.arms = self.table["prompt_id"].to_list()
        self.templates = self.table["template"].to_list()
        found = read_contexts(config.contexts, config.n_contexts).to_dicts()
        self.contexts = random.Random(config.seed).sample(found, len(found))  # arms are rated on a prefix of this order
        self.context_ids = [c["context_id"] for c in self.contexts]
        self.reward = RewardModel.load(reward, ScoreCache(journal.with_name("scores.sqlite")))
        self.llm: ChatModel | None = None
        self.plan = Plan(n_looks=config.looks, n_max=min(config.n_contexts, config.looks * config.ratings_per_look // 2),
                         delta=1 - config.confidence, epsilon=config.epsilon)  # fmt: skip
        self.rows: list[dict] = []
        self.hashes = {"arms": digest(arms), "scorer": self.reward.model_hash}
        self.replayed = self._replay()

    def pull(self, round_: int) -> None:
        """Write and score this round's diaries: batches chosen by UCB1, each in the journal when it is paid for."""
        c = self.config
        target = round_ * c.pulls_per_look
        progress = Progress(f"evaluate_prompts: round {round_}", target, "pulls", start=min(len(self.rows), target))
        while len(self.rows) < target:
            scores, _ = self._matrices(round_)
            chosen = next_pulls(UCB1(seed=c.seed), scores, min(c.pulls_at_once, target - len(self.rows)))
            if not chosen:
                break
            batch = self._from_journal(chosen) or self._write_and_score(chosen, round_)
            self.rows += batch
            progress.advance(len(batch))

    def choose(self, looks: list[Estimates]) -> list[dict]:
        """The rows to have rated in the next round."""
        scores, ratings = self._matrices(len(looks) + 1)
        mean = looks[-1].mean if looks else np.zeros(len(self.arms))
        at = {(r["prompt_id"], r["context_id"]): r for r in self.rows}
        chosen = next_ratings(mean, scores, ratings, self.config.ratings_per_look, self.config.epsilon)
        return [at[self.arms[k], self.context_ids[i]] for k, i in chosen]

    def rate_simulated(self, rows: list[dict], round_: int) -> None:
        """One simulated rater each, drawn by the item: sees the text and its context only."""
        from microworld.raters import PANEL

        by_id = dict(zip(self.context_ids, self.contexts, strict=True))
        for row in rows:
            item = self._item(row)
            rater = PANEL[int(item, 16) % len(PANEL)]
            row["human_rating"] = rater.rate(row["text"], by_id[row["context_id"]], item)
            row["rated_round"], row["rating_source"] = round_, SIMULATED

    def take_back(self, previous: str, ratings: str | None) -> None:
        """Load an earlier run's pulls, and the ratings people gave to its sheet since."""
        self.rows = read(previous, PULLS).to_dicts()
        strange = {r["prompt_id"] for r in self.rows} - set(self.arms)
        if strange:
            raise InputError("holds pulls of a prompt that is not compared here", file=previous, field="prompt_id",
                             value=sorted(strange)[0], remedy="Evaluate the same arms in every round")  # fmt: skip
        foreign = next((r["scorer"] for r in self.rows if r["scorer"] != self.reward.model_hash), None)
        if foreign:
            raise InputError("holds scores of another reward model", file=previous, field="scorer", value=foreign,
                             remedy="A new judge starts a new evaluation: leave 'previous' out")  # fmt: skip
        for prompt_id in self.arms:
            walked = [r["context_id"] for r in self.rows if r["prompt_id"] == prompt_id]
            if sorted(walked) != sorted(self.context_ids[: len(walked)]):
                raise InputError("holds pulls on other contexts, or in another order", file=previous, field="context_id",
                                 remedy="Keep evaluation.contexts, n_contexts and the seed over the rounds")  # fmt: skip
        if ratings is None:
            return
        round_ = 1 + max((r["rated_round"] or 0 for r in self.rows), default=0)
        by_item = {self._item(r): r for r in self.rows}
        for item, values in read_sheet(ratings, set(by_item)).items():
            row = by_item[item]
            if row["rated_round"] is not None:
                raise InputError("was rated in an earlier round", file=ratings, field="item_id", value=item,
                                 remedy="Give each round's sheet once")  # fmt: skip
            row["human_rating"], row["rated_round"], row["rating_source"] = float(np.mean(values)), round_, ratings
        if round_ > self.config.looks:
            raise InputError(f"this would be look {round_} of {self.config.looks} planned", file=ratings,
                             field="evaluation.looks", remedy="The confidence covers planned looks only: start anew")  # fmt: skip
        _, known = self._matrices(round_)
        for prompt_id, n in zip(self.arms, (~np.isnan(known)).sum(axis=1), strict=True):
            if n < 2:
                raise InputError(f"leaves prompt {prompt_id} with {n} ratings, too few to compare it", file=ratings,
                                 field="rating", remedy="Rate more of the sheet")  # fmt: skip

    def looks(self) -> list[Estimates]:
        """The estimates at every look so far, replayed from the rows."""
        last = max((r["rated_round"] or 0 for r in self.rows), default=0)
        return [corrected(*self._matrices(round_)) for round_ in range(1, last + 1)]

    def sheet(self, rows: list[dict]) -> list[dict]:
        """Items for people to rate: arm hidden, order by the item's hash."""
        by_id = dict(zip(self.context_ids, self.contexts, strict=True))
        items = [
            {"item_id": self._item(r), "text": r["text"], "rater_id": "", "rating": ""}
            | {k: by_id[r["context_id"]][k] for k in ("place", "people", "mood", "photo")}
            for r in rows
        ]
        return sorted(items, key=lambda item: item["item_id"])

    def record(self, decided: Decision | None, looks: list[Estimates]) -> dict:
        """The adoption record: what was decided, how surely, and on which evidence."""
        c, last = self.config, looks[-1] if looks else None
        scores, _ = self._matrices(c.looks)
        n_pulls = (~np.isnan(scores)).sum(axis=1)
        arm = decided.arm if decided else self.plan.incumbent
        arms = [
            {"prompt_id": p, "estimate": float(last.mean[k]) if last else None,
             "low": float(decided.low[k]) if decided else None, "high": float(decided.high[k]) if decided else None,
             "score_mean": float(np.nanmean(scores[k])) if n_pulls[k] else None, "n_pulls": int(n_pulls[k]),
             "n_ratings": int(last.n_rated[k]) if last else 0}
            for k, p in enumerate(self.arms)
        ]  # fmt: skip
        said = decided.decision if decided else "undecided"
        simulated = any(r["rating_source"] == SIMULATED for r in self.rows)
        used = int(last.n_rated.sum()) if last else 0
        return {
            "decision": said, "prompt_id": self.arms[arm] if said != "undecided" else self.arms[self.plan.incumbent],
            "leader": self.arms[arm], "incumbent": self.arms[self.plan.incumbent], "confidence": c.confidence,
            "epsilon": c.epsilon, "sentence": sentence(said, self.arms[arm], self.arms[0], used, simulated, c),
            "ratings_used": used, "ratings_needed": decided.ratings_needed if decided else c.ratings_per_look,
            "simulated": simulated, "cost_usd": float(sum(r["cost_usd"] for r in self.rows)), "arms": arms,
            "looks": [{"look": x.look, "ratings": x.ratings, "z": x.z, "boundary": x.boundary, "leader": self.arms[x.leader]}
                      for x in (decided.looks if decided else [])],
            "rho": last.rho if last else None, "judge_weight": last.weight if last else None,
            "hashes": self.hashes | {"pulls": _sha(json.dumps(self.rows, ensure_ascii=False, sort_keys=True))},
        }  # fmt: skip

    def _matrices(self, upto: int) -> tuple[np.ndarray, np.ndarray]:
        return matrices(self.rows, self.arms, self.context_ids, upto)

    def _item(self, row: dict) -> str:
        """The blinded name of one diary: says nothing of its arm to whoever does not hold the pulls."""
        return _sha(f"{self.config.seed}|{row['prompt_id']}|{row['context_id']}|{row['text']}")[:12]

    def _replay(self) -> dict[tuple[str, str], dict]:
        if not self.journal.exists():
            return {}
        whole = self.journal.read_text(encoding="utf-8").rpartition("\n")[0]  # a line cut off by a kill is not there
        self.journal.write_text(whole + "\n" if whole else "", encoding="utf-8")
        return {(r["prompt_id"], r["context_id"]): r for r in map(json.loads, filter(None, whole.split("\n")))}

    def _from_journal(self, chosen: list[tuple[int, int]]) -> list[dict] | None:
        """This batch as an earlier attempt left it, if it was finished."""
        keys = [(self.arms[k], self.context_ids[i]) for k, i in chosen]
        return [self.replayed[key] for key in keys] if all(key in self.replayed for key in keys) else None

    def _write_and_score(self, chosen: list[tuple[int, int]], round_: int) -> list[dict]:
        self.llm = self.llm or open_llm(self.config.llm)
        prompts = [fill(self.templates[k], self.contexts[i]) for k, i in chosen]
        written = self.llm.complete(prompts, seed=self.config.seed + len(self.rows))
        scores, _ = self.reward.score([w.text for w in written])
        batch = [
            {"round": round_, "prompt_id": self.arms[k], "context_id": self.context_ids[i], "text": w.text,
             "score": float(score), "scorer": self.reward.model_hash, "human_rating": None, "rated_round": None,
             "rating_source": None, "cost_usd": w.cost_usd}
            for (k, i), w, score in zip(chosen, written, scores, strict=True)
        ]  # fmt: skip
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in batch))
        return batch


def sentence(decision: str, arm: str, incumbent: str, ratings: int, simulated: bool, config: Config) -> str:
    """The decision in one plain sentence."""
    raters = f"{ratings} {'simulated' if simulated else 'human'} ratings"
    sure = f"with {config.confidence:.0%} confidence"
    if decision == "adopt":
        return (f"Adopt {arm}: {sure} it is better than {incumbent} and within {config.epsilon:g} of the best prompt, "
                f"after {raters}.")  # fmt: skip
    if decision == "keep":
        return f"Keep {incumbent}: {sure} it is within {config.epsilon:g} of the best prompt, after {raters}."
    if not ratings:
        return f"Undecided: nobody has rated yet, so {incumbent} stays; rate the items in to_rate.csv."
    return f"Undecided after {raters}: {arm} leads, but not surely enough, so {incumbent} stays."


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
