"""One evaluation: the rows of `pulls`, and how they come about.

Nothing else is remembered. Which arm is pulled next follows from the rows; what a chat model answered stands in the
run's ledger, so that an evaluation killed at any pull and started again walks the same way without paying twice.
"""

import hashlib
import random
from pathlib import Path

import numpy as np

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.estimate import Estimates
from components.evaluate_prompts.rounds import next_pulls, next_ratings, observed, raters_of
from components.evaluate_prompts.samplers import SAMPLERS
from components.evaluate_prompts.scorers import open_scorer
from components.evaluate_prompts.sheet import read_sheets
from memozy import qna
from memozy.llm import ChatModel, open_llm
from memozy.records import (
    ARMS,
    PULLS,
    SIMULATED,
    SLOTS,
    InputError,
    check_template,
    context_digest,
    fill,
    json_lines,
    read,
    read_contexts,
)  # fmt: skip
from memozy.stages import Progress


class Evaluation:
    """rows: of PULLS, as dicts, in the order in which they happened; arms: prompt ids, the incumbent first."""

    def __init__(self, config: Config, arms: Path, reward: Path, oversampled: Path, used: Path, work: Path) -> None:
        self.config = config
        self.table = read(arms, ARMS)
        self.arms = self.table["prompt_id"].to_list()
        self.templates = self.table["template"].to_list()
        for row, template in enumerate(self.templates, start=1):
            check_template(template, arms, row, qna.QNA_SLOTS if config.task == "qna" else SLOTS)
        found = [] if config.scorer == "feedback" else self._contexts(used, oversampled)
        self.contexts = random.Random(config.seed).sample(found, len(found))  # arms walk a prefix of this order
        self.context_ids = [c["context_id"] for c in self.contexts]
        self.scorer = open_scorer(config, reward, oversampled, work)
        self.scorer_name = self.scorer.name if self.scorer else config.scorer
        self.llm: ChatModel | None = None
        self.rows: list[dict] = []

    @property
    def pulls(self) -> list[dict]:
        return [r for r in self.rows if r["rater_id"] is None]

    @property
    def ratings(self) -> list[dict]:
        return [r for r in self.rows if r["rater_id"] is not None]

    def pull(self, round_: int, looks: list[Estimates]) -> None:
        """Write and score this round's diaries: where they are scored, batches that the sampler chooses.

        Where every diary decides (people rate all, or a verifier knows), the round is allotted at once by what the
        looks so far say: chosen one by one by their own values, the means would be biased.
        """
        c = self.config
        if c.rule == "planned" and c.scorer in ("human", "verifier"):
            chosen = self._allotted(looks)
            progress = Progress(f"evaluate_prompts: round {round_}", len(chosen), "pulls")
            for start in range(0, len(chosen), c.pulls_at_once):
                self._write_and_score(chosen[start : start + c.pulls_at_once], round_, progress)
            return
        target, made = round_ * c.pulls_per_look, len(self.pulls)
        progress = Progress(f"evaluate_prompts: round {round_}", target, "pulls", start=min(made, target))
        sampler = SAMPLERS[c.sampler](seed=c.seed)
        while made < target:
            scores, _, _ = observed(self.rows, self.arms, self.context_ids, round_)
            chosen = next_pulls(sampler, scores, min(c.pulls_at_once, target - made))
            if not chosen:
                break
            self._write_and_score(chosen, round_, progress)
            made += len(chosen)

    def choose(self, looks: list[Estimates]) -> list[dict]:
        """The pulls to have rated in the next round."""
        at = {(r["prompt_id"], r["context_id"]): r for r in self.pulls}
        if self.config.scorer == "human":
            rated = {(r["prompt_id"], r["context_id"]) for r in self.ratings}
            return [pull for key, pull in at.items() if key not in rated]
        pulled, rated, mean = self._cells(looks)
        chosen = next_ratings(mean, pulled & ~rated, rated.sum(axis=1), self._items_per_look, self.config.epsilon)
        return [at[self.arms[k], self.context_ids[i]] for k, i in chosen]

    def rate_simulated(self, pulls: list[dict], round_: int) -> None:
        """The simulated panel rates what it is asked, each rater seeing a text and its context only."""
        from microworld.raters import PANEL

        panel = {rater.rater_id: rater for rater in PANEL}
        by_id = dict(zip(self.context_ids, self.contexts, strict=True))
        for pull, name in self.asked(pulls, tuple(panel)):
            level = panel[name].rate(pull["text"], by_id[pull["context_id"]], self.item(pull))
            self._add_rating(pull, name, level, round_, SIMULATED)

    def asked(self, pulls: list[dict], raters: tuple[str, ...] | None = None) -> list[tuple[dict, str]]:
        """Every pull with every rater who is to rate it."""
        place = {c: i for i, c in enumerate(self.context_ids)}
        return [
            (pull, name)
            for pull in pulls
            for name in raters_of(place[pull["context_id"]], raters or self.config.raters, self.config.double_rated)
        ]

    def sheet(self, pulls: list[dict]) -> list[dict]:
        """Items for people to rate: the arm hidden."""
        by_id = dict(zip(self.context_ids, self.contexts, strict=True))
        return [
            {"item_id": self.item(pull), "rater_id": name, "text": pull["text"], "rating": ""}
            | {slot: by_id[pull["context_id"]].get(slot) for slot in SLOTS}
            for pull, name in self.asked(pulls)
        ]

    def item(self, pull: dict) -> str:
        """The blinded name of one diary: says nothing of its arm to whoever does not hold the pulls."""
        told = f"{self.config.seed}|{pull['prompt_id']}|{pull['context_id']}|{pull['text']}"
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def take_back(self, previous: str, ratings: str | None) -> None:
        """Load an earlier run's pulls, and the ratings people gave to its sheets since. Raises InputError."""
        self.rows = read(previous, PULLS).to_dicts()
        self._check_previous(previous)
        if ratings in (None, SIMULATED):
            return
        round_ = 1 + max((r["round"] for r in self.ratings), default=0)
        if round_ > self.config.looks:
            raise InputError(f"this would be look {round_} of {self.config.looks} planned", file=ratings,
                             field="evaluation.looks", remedy="The confidence covers planned looks only: start anew")  # fmt: skip
        by_item = {self.item(r): r for r in self.pulls}
        known = {(r["prompt_id"], r["context_id"], r["rater_id"]) for r in self.ratings}
        for (item, rater), level in read_sheets(ratings, set(by_item)).items():
            pull = by_item[item]
            if (pull["prompt_id"], pull["context_id"], rater) in known:
                raise InputError("was rated in an earlier round", file=ratings, field="item_id", value=item,
                                 remedy="Give each round's sheets once")  # fmt: skip
            self._add_rating(pull, rater, level, round_, ratings)
        _, rated, _ = self._cells([])
        for prompt_id, n in zip(self.arms, rated.sum(axis=1), strict=True):
            if n < 2:
                raise InputError(f"leaves prompt {prompt_id} with {n} rated diaries, too few to compare it", file=ratings,
                                 field="rating", remedy="Rate more of the sheets")  # fmt: skip

    def take_feedback(self) -> int:
        """Append what the app's users have said since, one pull for every showing not known yet; how many there were."""
        from memozy.feedback import outcomes, read_events

        known = {r["context_id"] for r in self.rows}
        round_ = 1 + max((r["round"] for r in self.rows), default=0)
        fresh = [r for r in outcomes(read_events(self.config.feedback)).to_dicts()
                 if r["prompt_id"] in self.arms and r["shown_id"] not in known]  # fmt: skip
        for row in fresh if round_ <= self.config.looks else []:
            self.rows.append(
                _row(round_, row["prompt_id"], row["shown_id"], score=row["value"], scorer="feedback", propensity=row["propensity"])
            )  # fmt: skip
        return len(fresh)

    def _contexts(self, used: Path, oversampled: Path) -> list[dict]:
        """What arms are compared on. Raises InputError for a context that the prompts or the reward model come from."""
        c = self.config
        if c.task == "qna":
            return qna.read_questions(c.contexts, c.n_contexts)
        found = read_contexts(c.contexts, c.n_contexts).to_dicts()
        seen = {row[name] for _, row in json_lines(used, "used contexts") for name in ("context_id", "digest")}
        for row in read(oversampled, OVERSAMPLED).select("context_id", "image_id").iter_rows(named=True):
            seen |= {row["context_id"]} | ({context_digest(row)} if row["image_id"] else set())
        for number, context in enumerate(found, start=1):
            if {context["context_id"], context_digest(context)} & seen:
                raise InputError("is known from training or from writing the prompts: they can't be compared on it",
                                 file=c.contexts, row=number, field="context_id", value=context["context_id"],
                                 remedy="Keep the evaluation's contexts and photos apart from all others")  # fmt: skip
        return found

    @property
    def _items_per_look(self) -> int:
        """Diaries rated in a round: some of them twice."""
        return round(self.config.ratings_per_look / (1 + self.config.double_rated))

    def _cells(self, looks: list[Estimates]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which cells are pulled and which rated, both [K, N]; and what is known of the arms' means, [K]."""
        scores, ratings, _ = observed(self.rows, self.arms, self.context_ids, upto=self.config.looks)
        rated = np.zeros(scores.shape, bool)
        rated[ratings.arm, ratings.context] = True
        return ~np.isnan(scores), rated, looks[-1].mean if looks else np.zeros(len(self.arms))

    def _allotted(self, looks: list[Estimates]) -> list[tuple[int, int]]:
        """The cells of the next round where every pull decides; those pulled and not rated yet count as asked for."""
        pulled, rated, mean = self._cells(looks)
        if self.config.scorer == "verifier":
            return next_ratings(mean, ~pulled, pulled.sum(axis=1), self.config.pulls_per_look, self.config.epsilon)
        waiting = int((pulled & ~rated).sum())
        n = max(self._items_per_look - waiting, 0)
        return next_ratings(mean, ~pulled, pulled.sum(axis=1), n, self.config.epsilon) if n else []

    def _write_and_score(self, chosen: list[tuple[int, int]], round_: int, progress: Progress) -> None:
        self.llm = self.llm or open_llm(self.config.llm)
        contexts = [self.contexts[i] for _, i in chosen]
        filled = qna.fill_question if self.config.task == "qna" else fill
        prompts = [filled(self.templates[k], self.contexts[i]) for k, i in chosen]
        written = self.llm.complete(prompts, seed=self.config.seed + len(self.rows))
        scores, cost = np.full(len(chosen), np.nan), 0.0
        if self.scorer:
            scores, cost = self.scorer.score([w.text for w in written], contexts)
        for (k, i), done, score in zip(chosen, written, scores, strict=True):
            self.rows.append(
                _row(round_, self.arms[k], self.context_ids[i], text=done.text, score=None if np.isnan(score) else float(score),
                     scorer=self.scorer_name, cost_usd=done.cost_usd + cost / len(chosen))
            )  # fmt: skip
        progress.advance(len(chosen))

    def _add_rating(self, pull: dict, rater: str, level: float, round_: int, source: str) -> None:
        self.rows.append(_row(round_, pull["prompt_id"], pull["context_id"], rater_id=rater, human_rating=level, rating_source=source))

    def _check_previous(self, file: str) -> None:
        strange = {r["prompt_id"] for r in self.rows} - set(self.arms)
        if strange:
            raise InputError("holds pulls of a prompt that is not compared here", file=file, field="prompt_id",
                             value=min(strange), remedy="Evaluate the same arms in every round")  # fmt: skip
        foreign = next((r["scorer"] for r in self.pulls if r["scorer"] != self.scorer_name), None)
        if foreign:
            raise InputError("holds scores of another scorer", file=file, field="scorer", value=foreign,
                             remedy="A new judge starts a new evaluation: leave 'previous' out")  # fmt: skip
        for prompt_id in self.arms if self.config.scorer != "feedback" else []:
            walked = [r["context_id"] for r in self.pulls if r["prompt_id"] == prompt_id]
            if sorted(walked) != sorted(self.context_ids[: len(walked)]):
                raise InputError("holds pulls on other contexts, or in another order", file=file, field="context_id",
                                 remedy="Keep evaluation.contexts, n_contexts and the seed over the rounds")  # fmt: skip


def _row(round_: int, prompt_id: str, context_id: str, **known) -> dict:
    empty = dict.fromkeys(("rater_id", "text", "score", "scorer", "propensity", "human_rating", "rating_source"))
    return {"round": round_, "prompt_id": prompt_id, "context_id": context_id, **empty, "cost_usd": 0.0, **known}
