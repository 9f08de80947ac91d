"""What an evaluation will take, before any of it is paid for: by simulating our own decision.

Rating n diaries and having N judged costs n h + N c (h: a rating; c: a diary with its judging), and leaves the mean a
variance of sd^2 ((1 - rho^2) / n + rho^2 / N). The least cost for a given variance is at

    N / n = sqrt(R rho^2 / (1 - rho^2)),  R = h / c,      and is  (sqrt(1 - rho^2) + sqrt(rho^2 / R))^2

times that of ratings alone: one over the judge's `saving`, which is worth its price above R = rho^2 / (1 - sqrt(1 -
rho^2))^2. That is of one arm's mean; arms rated on the same contexts share some of what a judge could tell, so how many
ratings it takes, with and without the judge, is simulated. Power is the chance to adopt the best prompt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, sqrt

from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtri

from components.evaluate_prompts.simulation import simulate
from components.evaluate_prompts.world import Setting

BEST = 0.5  # the best prompt's mean rating
STEPS = 6  # of a bisection
WIDEST = 4.0  # it searches from the textbook's number divided by this to it times this


class Question(BaseModel):
    """What is to be decided, what is hoped for, and what things cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_arms: int = Field(4, ge=2, le=20, description="prompts compared, the incumbent among them")
    lift: float = Field(0.3, gt=0, le=1, description="the best prompt's lead over the incumbent, in rating units")
    gap: float = Field(0.1, ge=0, le=1, description="its lead over every other challenger")
    rating_sd: float = Field(0.5, ge=0.2, le=1, description="standard deviation of ratings within a prompt")
    rho2: float = Field(0.3, ge=0, lt=1, description="squared correlation of score and rating within a prompt")
    epsilon: float = Field(0.1, ge=0, le=1, description="margin under which a difference does not matter")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    looks: int = Field(4, ge=1, le=20)
    power: float = Field(0.8, gt=0, lt=1, description="chance wanted of adopting the best prompt")
    usd_per_rating: float = Field(0.5, gt=0)
    usd_per_diary: float = Field(0.002, ge=0, description="US dollars for writing one")
    usd_per_judged: float = Field(0.001, ge=0, description="US dollars for scoring one")
    budget_usd: float | None = Field(None, gt=0)
    repetitions: int = Field(
        200, ge=50, description="simulated evaluations for each number tried; at 200 the ratings are known to about 6 %"
    )
    seed: int = 0

    @model_validator(mode="after")
    def _can_be_told(self):
        if self.n_arms > 2 and self.gap + self.epsilon < 0.02:
            raise ValueError("gap + epsilon below 0.02: no number of ratings tells such prompts apart")
        return self


@dataclass(frozen=True)
class Need:
    """ratings: at most, over all looks; mean_ratings: as many on average, since it stops early; diaries: written,

    and judged where there is a judge; usd: at most; power: the chance that the best prompt is adopted.
    """

    ratings: int
    mean_ratings: float
    diaries: int
    usd: float
    power: float


@dataclass(frozen=True)
class Answer:
    """judged, human: what it takes with the judge and with ratings alone, None where WIDEST does not reach.

    judged is None too at rho2 0. saving: the judge's by the formula above. worth: whether `judged` is the cheaper.
    at_budget: what `budget_usd` buys, the better way of both; None without a budget, or where it buys too little.
    """

    question: Question
    judged: Need | None
    human: Need | None
    saving: float
    worth: bool
    at_budget: Need | None


def price_ratio(q: Question) -> float:
    """R: what a rating costs in diaries written and judged."""
    return q.usd_per_rating / (q.usd_per_diary + q.usd_per_judged) if q.usd_per_diary + q.usd_per_judged else inf


def saving(rho2: float, ratio: float) -> float:
    """Cost of ratings alone over that of the best mix with a judge; below 1 the judge isn't worth its price."""
    return 1 / (sqrt(1 - rho2) + sqrt(rho2 / ratio)) ** 2


def evaluations(q: Question) -> int:
    """How many evaluations `plan` simulates at most."""
    return q.repetitions * ((STEPS + 2) * (2 if q.rho2 else 1) + (2 if q.budget_usd else 0))


def plan(q: Question, done: Callable[[], None] = lambda: None) -> Answer:
    """The answer; `done` is called after every simulated evaluation."""
    human = _needed(q, False, done)
    judged = _needed(q, True, done) if q.rho2 else None
    worth = judged is not None and (human is None or judged.usd < human.usd)
    bought = [n for n in (_bought(q, True, done), _bought(q, False, done)) if n] if q.budget_usd else []
    return Answer(q, judged, human, saving(q.rho2, price_ratio(q)), worth,
                  max(bought, key=lambda n: n.power, default=None))  # fmt: skip


def lines(answer: Answer) -> list[str]:
    """The answer as a person reads it."""
    q = answer.question
    best = answer.judged if answer.worth else answer.human
    told = [f"{q.n_arms} prompts; the best leads the incumbent by {q.lift:g} and other challengers by {q.gap:g}; "
            f"ratings vary by {q.rating_sd:g}; margin {q.epsilon:g}, confidence {q.confidence:.0%}, "
            f"{q.looks} looks."]  # fmt: skip
    if best is None:
        told.append(f"No number of ratings that was tried adopts it with a chance of {q.power:.0%}.")
    else:
        told.append(f"To adopt it with a chance of {q.power:.0%}: {_said(best, answer.worth)}.")
    if not q.rho2:
        told.append("A judge that explains nothing of the ratings (rho2 0) is worth nothing.")
    elif answer.worth and answer.human:
        told.append(f"The judge is worth its price: without it, {_said(answer.human)}.")
    elif answer.judged and answer.human:
        told.append(f"The judge is not worth its price: with it, {_said(answer.judged, True)}.")
    told.append(f"By the formula, with a rating at the price of {price_ratio(q):.3g} judged diaries and rho2 {q.rho2:g}, "
                f"ratings alone cost {answer.saving:.2f} times the best mix.")  # fmt: skip
    if q.budget_usd:
        told.append(f"${q.budget_usd:,.2f} buys {_said(answer.at_budget)}: a chance of {answer.at_budget.power:.0%}."
                    if answer.at_budget else f"${q.budget_usd:,.2f} is too little for any evaluation.")  # fmt: skip
    return told


def _said(n: Need, judged: bool = False) -> str:
    ratings = f"about {n.ratings:,} human ratings at most ({n.mean_ratings:,.0f} on average)"
    return f"{ratings}, {n.diaries:,} {'judged ' * judged}diaries, ${n.usd:,.2f}"


def _setting(q: Question, judged: bool, per_look: int) -> tuple[Setting, int, float]:
    """How `per_look` ratings a look are best used; the diaries that takes and the US dollars at most."""
    ratings, per_arm = per_look * q.looks, per_look * q.looks / q.n_arms
    mix = min(sqrt(price_ratio(q) * q.rho2 / (1 - q.rho2)), 20) if judged else 1
    n_contexts = ceil(max(per_arm * max(mix, 1), ratings / 2))  # the leader gets half of the ratings, at most about
    truth = (BEST - q.lift, BEST, *[BEST - q.gap] * (q.n_arms - 2))
    setting = Setting("plan", truth, rating_sd=q.rating_sd, rho2=q.rho2 or 1, scorer="judge" if judged else "human",
                      n_contexts=n_contexts, per_look=per_look, n_looks=q.looks, epsilon=q.epsilon, delta=1 - q.confidence)  # fmt: skip
    diaries = n_contexts * q.n_arms if judged else ratings
    usd = ratings * q.usd_per_rating + diaries * (q.usd_per_diary + q.usd_per_judged * judged)
    return setting, diaries, usd


def _need(q: Question, judged: bool, per_look: int, done: Callable[[], None]) -> Need:
    setting, diaries, usd = _setting(q, judged, per_look)
    rates = simulate(setting, q.repetitions, q.seed, done)
    return Need(per_look * q.looks, rates["ratings"], diaries, usd, rates["adopt_best"])


def _needed(q: Question, judged: bool, done: Callable[[], None]) -> Need | None:
    """The fewest ratings with the wanted power, by bisection of their logarithm."""
    shift = min([q.lift, *[q.gap + q.epsilon] * (q.n_arms > 2)])
    z = -ndtri((1 - q.confidence) / (q.n_arms - 1)) + max(ndtri(q.power), 0)
    textbook = q.n_arms * 2 * (z * q.rating_sd / shift) ** 2  # two means at z standard errors
    least = 3 * q.n_arms
    low, high = (max(least, textbook * w / q.looks) for w in (1 / WIDEST, WIDEST))
    found = _need(q, judged, ceil(high), done)
    if found.power < q.power:
        return None
    for _ in range(STEPS):
        middle = sqrt(low * high)
        if ceil(middle) == ceil(high):
            break
        tried = _need(q, judged, ceil(middle), done)
        if tried.power >= q.power:
            found, high = tried, middle
        else:
            low = middle
    return found


def _bought(q: Question, judged: bool, done: Callable[[], None]) -> Need | None:
    """What the budget buys: as many ratings a look as it pays for, with their diaries."""
    if judged and not q.rho2:
        return None
    per_look = int(q.budget_usd / _setting(q, judged, 1000)[2] * 1000)
    while per_look and _setting(q, judged, per_look)[2] > q.budget_usd:
        per_look -= 1
    return _need(q, judged, per_look, done) if per_look >= 3 * q.n_arms else None
