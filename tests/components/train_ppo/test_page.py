"""The page and the card of a training, of curves made by hand."""

import pytest

from components.train_ppo import card, findings, page
from components.train_ppo.config import Config
from components.train_ppo.guards import Verdict
from tests.pages import EVIL, Page


def told(**changes):
    """Four updates, of which the third is kept; the answers to two queries."""
    rows = [{"step": u, "objective/score": 0.1 * u, "objective/proxy": 0.2 * u, "objective/gold": 0.1 * u - 0.2 * (u == 3),
             "objective/reward": 0.1 * u, "objective/kl": 1.5 * u, "objective/kl_coef": 0.02, "objective/entropy": 2.0 - 0.5 * u,
             "objective/length": 40.0, "objective/eos_rate": 1.0, "objective/distinct": 1.0, "env/fault": 0.25,
             "seconds/rollout": 1.0, "seconds/update": 3.0, "cost_usd": 0.01} for u in range(4)]  # fmt: skip
    compared = [{"when": when, "step": step, "query": f"query {i}", "response": f"{when} {i}", "score": score + 0.1 * i, "kl": 0.5 * i,
                 "reward": score, "gold": 0.3, "proxy": score} for when, step, score in (("before", 0, 0.1), ("after", 2, 0.5))
                for i in (0, 1)]  # fmt: skip
    base = {"model": "a/model", "revision": "0" * 40, "digest": "c0ffee", "weights": {}}
    gold = {"rows": 80, "groups": 16, "unseen_rows": 320, "spearman": [0.41, 0.3, 0.52], "model_hash": "beef", "usable": True}
    return {"config": Config().model_dump(mode="json"), "base": base, "rows": rows, "kept": 2, "compared": compared, "gold": gold,
            "verdict": Verdict("sound", "No sign of it."), "unwatched": None} | changes  # fmt: skip


@pytest.fixture(scope="module")
def html():
    return page.render(told())


def test_every_figure_shown_is_the_runs(html):
    shown = Page(html)
    assert shown.row("proxy") == ["0.000", "0.400", "0.600", "objective/proxy"]
    assert ["gold", "0.000", "0.200", "0.100", "objective/gold"] in shown.rows
    assert ["gold", "0.30", "0.30", "0.00 (0.00 to 0.00)"] in shown.rows, "of the answers"
    assert "query 0" in shown.text and "before 1" in shown.text and "score 0.20 · reward 0.10 · gold 0.30 · KL 0.50" in shown.text
    assert "cost $0.0400" in shown.text and "Spearman's ρ of 0.41 (0.30 to 0.52)" in shown.text
    assert any("proxy: 0.00 at the start, 0.40 at the update kept, 0.60 at the last" in label for label in shown.labels())
    assert "rollout: 1.00 on average; update: 3.00 on average" in shown.labels()[-1]


def test_the_page_is_self_contained_and_the_same_each_time(html):
    Page(html).check_self_contained()
    assert html == page.render(told())


def test_texts_are_inert_wherever_they_stand():
    rows = told()["compared"]
    for row in rows:
        row |= {"query": EVIL, "response": EVIL}
    shown = Page(page.render(told(compared=rows, verdict=Verdict("hacking", EVIL), base=told()["base"] | {"model": EVIL},
                                  config=told()["config"] | {"algorithm": EVIL})))  # fmt: skip
    shown.check_inert()
    assert shown.text.count("<script>alert(1)</script>") >= 9


def test_without_gold_the_page_says_that_nobody_can_tell():
    rows = [{k: v for k, v in row.items() if "gold" not in k} for row in told()["rows"]]
    compared = [{k: v for k, v in row.items() if k != "gold"} for row in told()["compared"]]
    without = told(rows=rows, compared=compared, gold=None, unwatched="the gold model is too weak")
    shown = Page(page.render(without))
    assert "Nobody can tell, for the gold model is too weak" in shown.text and "nan" not in shown.text
    assert "Nothing but KL held it back, for the gold model is too weak." in shown.text
    assert "No gold model watched: the gold model is too weak." in card.render(without)


def test_changes_by_hand():
    # rewards: +0.4 twice; KL: 0 and 0 before and after; scores: 0.1, 0.2 -> 0.5, 0.6
    found = {name: (before, after, *change) for name, before, after, change in findings.changes(told()["compared"])}
    assert found["score"] == pytest.approx((0.15, 0.55, 0.4, 0.4, 0.4))
    rows = told()["compared"]
    rows[2]["score"] = 0.1  # changes of 0.0 and 0.4: mean 0.2, sd 0.2828, t of one degree of freedom 12.706
    [(*_, change)] = [each for each in findings.changes(rows) if each[0] == "score"]
    assert change == pytest.approx([0.2, 0.2 - 12.706 * 0.2, 0.2 + 12.706 * 0.2], abs=1e-3)
    assert findings.changes([row for row in rows if row["query"] == "query 0"])[0][3][1] is None, "of one query no interval"


def test_weaknesses_have_their_figures():
    found = " ".join(findings.weaknesses(told()))
    assert "Spearman's ρ 0.41 (0.30 to 0.52)" in found and "25 % of its responses have a fault" in found
    assert "narrow" not in found, "1.0 is half of 2.0, not less"
    rows = told()["rows"]
    rows[2] |= {"objective/eos_rate": 0.8, "objective/distinct": 0.25, "objective/entropy": 0.5, "env/fault": 0.0}
    found = " ".join(findings.weaknesses(told(rows=rows, verdict=Verdict("hacking", ""))))
    for said in ("Only 80 % of its responses end", "Only 25 % of its responses differ", "entropy went from 2.00 to 0.50",
                 "exploited the reward model's mistakes"):  # fmt: skip
        assert said in found, said
    assert "fault" not in found
