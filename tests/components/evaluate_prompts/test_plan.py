import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from components.evaluate_prompts.plan import Answer, Need, Question, evaluations, lines, plan, price_ratio, saving


@pytest.mark.parametrize(("rho2", "ratio"), [(0.3, 100.0), (0.5, 20.0), (0.3, 11.18), (0.8, 5.0)])
def test_the_saving_is_what_the_cheapest_mix_saves(rho2, ratio):
    """For one unit of variance, ratings cost `ratio` each and judged diaries 1: found by minimising over the mix."""

    def cost(log_mix):  # N = mix n, so that (1 - rho2) / n + rho2 / N = 1
        n = (1 - rho2) + rho2 / np.exp(log_mix)
        return n * ratio + n * np.exp(log_mix)

    cheapest = minimize_scalar(cost, bounds=(-5, 10), method="bounded", options={"xatol": 1e-9}).fun
    assert saving(rho2, ratio) == pytest.approx(ratio / cheapest, rel=1e-6)


def test_where_the_judge_is_no_longer_worth_its_price():
    # rho2 .36: 1 - sqrt(1 - .36) = .2, so R = .36 / .04 = 9
    assert saving(0.36, 9.0) == pytest.approx(1)
    assert saving(0.36, np.inf) == pytest.approx(1 / 0.64)
    assert price_ratio(Question(usd_per_rating=0.5, usd_per_diary=0.04, usd_per_judged=0.01)) == pytest.approx(10)
    assert price_ratio(Question(usd_per_diary=0, usd_per_judged=0)) == np.inf


def test_two_prompts_without_a_judge_take_what_the_textbook_says():
    """One look at two prompts is one test: n = 2 ((z_.95 + z_.8) sd / lift)^2 for each, less for what pairing gives."""
    told = []
    q = Question(n_arms=2, lift=0.12, rating_sd=0.3, rho2=0, looks=1, repetitions=100)
    answer = plan(q, lambda: told.append(1))
    textbook = 2 * 2 * ((norm.ppf(0.95) + norm.ppf(0.8)) * q.rating_sd / q.lift) ** 2
    assert 0.6 * textbook < answer.human.ratings < 1.1 * textbook
    assert answer.human.power >= 0.8
    assert answer.judged is None and not answer.worth and answer.at_budget is None
    assert answer.human.usd == pytest.approx(answer.human.ratings * 0.502)
    assert len(told) <= evaluations(q)


def test_a_budget_below_three_ratings_a_prompt_buys_nothing():
    answer = plan(Question(n_arms=2, lift=0.8, looks=1, repetitions=50, usd_per_rating=1, budget_usd=5))
    assert answer.at_budget is None
    assert "too little for any evaluation" in lines(answer)[-1]
    assert answer.judged.power >= 0.8 and answer.judged.diaries > answer.judged.ratings


def test_the_plain_words_fit_the_numbers():
    q = Question(budget_usd=50)
    judged, human = Need(240, 200.0, 2000, 126.0, 0.8), Need(300, 260.0, 300, 150.6, 0.81)
    told = lines(Answer(q, judged, human, 1.29, True, Need(90, 90.0, 800, 47.4, 0.3)))
    assert "240 human ratings at most (200 on average), 2,000 judged diaries, $126.00" in told[1]
    assert "worth its price: without it, about 300 human ratings" in told[2]
    assert "$50.00 buys about 90 human ratings" in told[-1] and "30%" in told[-1]
    dear = lines(Answer(q.model_copy(update={"budget_usd": None}), judged, human, 0.9, False, None))
    assert "300 human ratings" in dear[1] and "not worth its price: with it, about 240" in dear[2]
    nothing = lines(Answer(q.model_copy(update={"budget_usd": None}), None, None, 1.0, False, None))
    assert "No number of ratings that was tried" in nothing[1]


@pytest.mark.parametrize("bad", [{"rho2": 1.0}, {"n_arms": 1}, {"gap": 0.0, "epsilon": 0.01}, {"budget": 3}])
def test_bad_questions_are_refused(bad):
    with pytest.raises(ValidationError):
        Question(**bad)
