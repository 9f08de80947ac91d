"""One evaluation: the rows of `pulls`, and how they come about.

Nothing else is remembered. Which arm is pulled next follows from the rows; what a chat model answered stands in the
run's ledger, so that an evaluation killed at any pull and started again walks the same way without paying twice.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from components.evaluate_prompts import reactions
from components.evaluate_prompts.config import Config
from components.evaluate_prompts.contexts import comparable
from components.evaluate_prompts.estimate import Estimates
from components.evaluate_prompts.record import rows_digest
from components.evaluate_prompts.replay import Settings, replay
from components.evaluate_prompts.rounds import next_pulls, next_ratings, observed, raters_of
from components.evaluate_prompts.samplers import SAMPLERS
from components.evaluate_prompts.scorers import open_scorer
from components.evaluate_prompts.sheet import read_sheets
from memozy import qna
from memozy.llm import ChatModel, open_llm
from memozy.records import ARMS, PULLS, SIMULATED, SLOTS, InputError, check_template, fill, read
from memozy.stages import Progress, digest


class Evaluation:
    """rows: of PULLS, as dicts, in the order in which they happened; arms: prompt ids, the incumbent first."""

    def __init__(self, config: Config, arms: Path, reward: Path, oversampled: Path, used: Path, work: Path) -> None:
        self.config = config
        self.table = read(arms, ARMS)
        self.arms = self.table["prompt_id"].to_list()
        self.templates = self.table["template"].to_list()
        for row, template in enumerate(self.templates, start=1):
            check_template(template, arms, row, qna.QNA_SLOTS if config.task == "qna" else SLOTS)
        self.contexts = [] if config.scorer == "feedback" else comparable(config, used, oversampled)
        self.context_ids = [c["context_id"] for c in self.contexts]
        self._check_sizes(arms)
        self.settings = Settings.of(config, self.arms)
        self.scorer = open_scorer(config, reward, oversampled, work)
        self.hashes = {"arms": digest(arms), "scorer": self.scorer.name if self.scorer else config.scorer}
        if config.scorer != "feedback":
            self.hashes |= {"contexts": digest(Path(config.contexts)), "llm": config.llm.model}
        self.llm: ChatModel | None = None
        self.rows: list[dict] = []
        self.answered: dict[str, int] | None = None  # ratings asked for in the last round, and given

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
            {"diary_id": self.item(pull), "rater_id": name, "text": pull["text"], "rating": ""}
            | {slot: by_id[pull["context_id"]].get(slot) for slot in SLOTS}
            for pull, name in self.asked(pulls)
        ]

    def item(self, pull: dict) -> str:
        """The blinded name of one diary: says nothing of its arm to whoever does not hold the pulls."""
        told = f"{self.config.seed}|{pull['prompt_id']}|{pull['context_id']}|{pull['text']}"
        return "d" + hashlib.sha256(told.encode()).hexdigest()[:11]  # the letter keeps spreadsheets from reading a number

    def take_back(self, previous: str, ratings: str | None) -> None:
        """Load an earlier run's pulls, and the ratings people gave to its sheets since. Raises InputError."""
        self.rows = read(Path(previous) / "pulls", PULLS).to_dicts()
        self._check_previous(Path(previous) / "decision")
        if ratings in (None, SIMULATED):
            return
        standing = replay(self.rows, self.settings)
        if standing.finished(self.config.looks):
            raise InputError(f"is decided, or all {self.config.looks} planned looks are made", file=previous,
                             field="evaluation.looks", remedy="The confidence covers planned looks only: start anew")  # fmt: skip
        round_ = len(standing.looks) + 1
        by_item = {self.item(pull): pull for pull in self.choose(standing.looks)}
        given = read_sheets(ratings, set(by_item))
        self.answered = {"asked": len(self.asked(list(by_item.values()))), "given": len(given)}
        for (item, rater), level in given.items():
            self._add_rating(by_item[item], rater, level, round_, ratings)
        _, rated, _ = self._cells([])
        for prompt_id, n in zip(self.arms, rated.sum(axis=1), strict=True):
            if n < 2:
                raise InputError(f"leaves prompt {prompt_id} with {n} rated diaries, too few to compare it", file=ratings,
                                 field="rating", remedy="Rate more of the sheets")  # fmt: skip

    def take_feedback(self) -> None:
        """Append what the app's users have done since, if that is enough for a look. Raises InputError."""
        round_ = 1 + max((r["round"] for r in self.rows), default=0)
        fresh = reactions.since(self.rows, self.arms, round_, self.config)
        self.rows += [
            _row(round_, r["prompt_id"], r["shown_id"], score=r["value"], scorer="feedback", propensity=r["propensity"])
            for r in fresh
        ]

    def _check_sizes(self, arms: Path) -> None:
        """Raise InputError where the arms are too few, or too many for what is asked in a look."""
        c, k = self.config, len(self.arms)
        if k < 2:
            raise InputError(f"holds {k} prompts: there is nothing to compare", file=arms, remedy="Propose a challenger")
        least = self._items_per_look if c.needs_people else c.pulls_per_look
        if least < 2 * k:
            field = "evaluation.ratings_per_look" if c.needs_people else "evaluation.pulls_per_look"
            raise InputError(f"gives {k} prompts fewer than 2 diaries each in a look", field=field, value=least,
                             remedy=f"Ask for {2 * k} or more")  # fmt: skip
        if c.rule == "classic" and c.pulls_per_look > k * len(self.contexts):
            raise InputError(f"are more than {k} prompts on {len(self.contexts)} contexts", field="evaluation.pulls_per_look",
                             value=c.pulls_per_look, remedy="Ask for fewer, or add contexts")  # fmt: skip

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
        written = self.llm.complete(prompts, seed=self.config.seed + len(self.rows), failures_ok=True)
        for context, done in zip(contexts, written, strict=True):
            if done.failure:
                raise InputError(f"nothing could be written about it: {done.failure}", file=self.config.contexts,
                                 field="context_id", value=context["context_id"],
                                 remedy="Run again; or leave it out: nothing is paid twice")  # fmt: skip
        scores, costs = self._scored([done.text for done in written], contexts)
        for (k, i), done, score, cost in zip(chosen, written, scores, costs, strict=True):
            self.rows.append(
                _row(round_, self.arms[k], self.context_ids[i], text=done.text, score=None if np.isnan(score) else float(score),
                     scorer=self.hashes["scorer"], cost_usd=done.cost_usd + cost)
            )  # fmt: skip
        progress.advance(len(chosen))

    def _scored(self, texts: list[str], contexts: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Scores, NaN for none, and what each cost, US dollars; both (n,).

        A diary's score follows from its text: equal ones are scored once. A verified answer's hangs on its question too.
        """
        if self.scorer is None:
            return np.full(len(texts), np.nan), np.zeros(len(texts))
        if self.config.task == "qna":
            return self.scorer.score(texts, contexts)[0], np.zeros(len(texts))
        known = {r["text"]: np.nan if r["score"] is None else r["score"] for r in self.pulls}
        first = {text: i for i, text in reversed(list(enumerate(texts))) if text not in known}
        fresh = sorted(first.values())
        scores, cost = self.scorer.score([texts[i] for i in fresh], [contexts[i] for i in fresh]) if fresh else ([], 0.0)
        known |= dict(zip((texts[i] for i in fresh), scores, strict=True))
        costs = np.zeros(len(texts))
        costs[fresh] = cost / max(len(fresh), 1)
        return np.array([known[text] for text in texts]), costs

    def _add_rating(self, pull: dict, rater: str, level: float, round_: int, source: str) -> None:
        self.rows.append(_row(round_, pull["prompt_id"], pull["context_id"], rater_id=rater, human_rating=level, rating_source=source))

    def _check_previous(self, decision: Path) -> None:
        """Raise InputError where the earlier rounds were another evaluation's: its plan is fixed before its first pull."""
        try:
            told = json.loads(decision.read_text(encoding="utf-8"))
            settings, hashes = told["settings"], told["hashes"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError("holds no adoption record", file=decision, remedy="Give the folder `previous` of the last round") from None
        now = self.settings.model_dump(mode="json")
        changed = [name for name, value in now.items() if settings.get(name) != value]
        changed += [name for name, value in self.hashes.items() if hashes.get(name) != value]
        if changed:
            raise InputError("is another evaluation's: this differs over its rounds", file=decision, field=changed[0],
                             value=(settings | hashes).get(changed[0]), remedy="Keep it, or start anew without 'previous'")  # fmt: skip
        if hashes.get("pulls") != rows_digest(self.rows):
            raise InputError("does not belong to the pulls beside it", file=decision, field="hashes.pulls",
                             remedy="Give the folder as the last round left it")  # fmt: skip


def _row(round_: int, prompt_id: str, context_id: str, **known) -> dict:
    empty = dict.fromkeys(("rater_id", "text", "score", "scorer", "propensity", "human_rating", "rating_source"))
    return {"round": round_, "prompt_id": prompt_id, "context_id": context_id, **empty, "cost_usd": 0.0, **known}
