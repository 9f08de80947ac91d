"""The model card: each figure stands beside its interval and the constant's, text from files is inert, gaps are said."""

import pytest

from components.register_models import model_card

VERSION = {"version": "0" * 32 + ".dir", "n_ratings": 9, "n_diaries": 8, "simulated": True}
TEST = {"mse": 0.2, "constant_mse": 0.37, "n": 40, "coverage": 0.85, "gain": [0.17, -0.02, 0.36],
        "intervals": {"mse": [0.15, 0.25], "coverage": [0.7, 0.9]}}  # fmt: skip
CARD = {
    "model_hash": "ab" * 32, "champion": "stacked", "weights": {"ridge": 0.4, "kernel": 0.6}, "rule": "the simplest",
    "candidates": [{"name": "stacked", "mse": 0.218, "interval": [0.19, 0.25], "spearman": 0.5},
                   {"name": "constant", "mse": 0.31, "interval": [0.28, 0.34], "spearman": 0.0}],
    "metrics": {"test": TEST}, "data": {"digest": "d" * 64, "train_rows": 360, "test_rows": 40},
    "guards": {"limits": {"shortest": 10.4, "limits": {"said_twice": 12.0}, "kinds": ["LATIN"]}, "shut": 0.0, "unfamiliar": 0.025, "cap": 0.1},
    "ceiling": {"double_rated": 30, "least_mse": [0.09, 0.06, 0.12], "most_r2": [0.7, 0.6, 0.8]},
    "intervals": {"stated": 0.9}, "weaknesses": ["It is not shown to beat a constant."],
}  # fmt: skip


def lines(card, needs=(), shown=0) -> list[str]:
    return model_card.render(card, VERSION, needs, shown, "reward-model-candidate").splitlines()


def test_figures_stand_with_their_intervals():
    said = lines(CARD, ["the base model x"])
    for line in (
        "# Reward model: stacked",
        "- It is not shown to beat a constant.",
        "- Model hash: " + "ab" * 32,
        "    - kernel 0.60",
        "| digest of the rows | " + "d" * 64 + " |",
        "| diaries learned from, held out | 360, 40 |",
        "| | test, n = 40 | out of fold, n = not measured | the recipe, out of fold |",
        "| squared error (MSE) | 0.200 (0.150 to 0.250) | not measured | not measured |",
        "| the constant's | 0.370 | not measured | not measured |",
        "| the constant's less the model's | 0.170 (-0.020 to 0.360) | not measured | not measured |",
        "| ratings within their interval, share | 0.850 (0.700 to 0.900) | not measured | not measured |",
        "- Share of new ratings that its intervals are meant to hold: 90 %",
        "- Human ceiling, MSE below which no model can be expected: 0.090 (0.060 to 0.120)",
        "| stacked (champion) | 0.218 (0.190 to 0.250) | 0.500 |",
        "| constant | 0.310 (0.280 to 0.340) | 0.000 |",
        "| shortest | 10.4 |",
        "| limits, said twice | 12.0 |",
        "| share of real diaries gated | 0 % |",
        "| share of real diaries unfamiliar | 2.5 % |",
        '    model = mlflow.pyfunc.load_model("models:/reward-model-candidate/<version>")',
        "It also needs the base model x.",
    ):
        assert line in said
    assert any("Simulated ratings" in line for line in said)


def test_the_only_diaries_it_holds_are_the_judges_examples():
    assert any(line.startswith("- The model holds no text of users. ") for line in lines(CARD))
    judged = "- The model holds no text of users except the 15 diaries that its judge is shown as examples. "
    assert any(line.startswith(judged) for line in lines(CARD, shown=15))


def test_what_a_bare_card_lacks_is_said_and_tables_stay_tables():
    bare = {"model_hash": "ab", "champion": "ridge", "metrics": {"test": {"mse": 0.2, "constant_mse": 0.3, "n": 12}},
            "ceiling": None}  # fmt: skip
    said = lines(bare)
    assert "| digest of the rows | not measured |" in said
    assert "- Human ceiling, MSE below which no model can be expected: not measured" in said
    assert "- Whatever the figures below say: train\\_reward has not looked for any." not in said
    assert "- Whatever the figures below say: train_reward has not looked for any." in said
    blank = [n for n, line in enumerate(said) if not line]
    for n, line in enumerate(said):
        if line.startswith("|---"):
            end = next(b for b in blank if b > n)
            assert {row.count("|") for row in said[n - 1 : end]} == {line.count("|")}


@pytest.mark.parametrize("evil", [
    "<script>alert(1)</script>", "a\n\n# Approved by everyone\n", "[x](javascript:alert)", "| | |\n|---|", "`</code>`",
    "a\u2028## b", "~~a~~ **b** __c__", "&lt;b&gt;", "\u202eesrever",
])  # fmt: skip
def test_text_from_files_is_inert(evil):
    """However it is written, a value adds no line, no cell, no tag and no mark-up."""
    card = CARD | {"champion": evil, "rule": evil, "weaknesses": [evil], "weights": {evil: 1.0},
                   "candidates": [CARD["candidates"][0] | {"name": evil}]}  # fmt: skip
    said = lines(card)
    tame = lines(CARD | {"champion": "x", "rule": "x", "weaknesses": ["x"], "weights": {"x": 1.0},
                         "candidates": [CARD["candidates"][0] | {"name": "x"}]})  # fmt: skip
    assert [line.replace("\\|", "").count("|") for line in said] == [line.count("|") for line in tame]
    text = model_card.plain(evil)
    assert "<" not in text and ">" not in text and "\n" not in text and "\u202e" not in text
    for mark in "`*_[]|~":
        assert text.count(mark) == text.count("\\" + mark)


def test_plain_text_stays_readable():
    assert model_card.plain("오늘은 5 < 6 & _좋았다_") == "오늘은 5 &lt; 6 &amp; \\_좋았다\\_"
