from components.import_ratings.panel import rate
from memozy.records import RATING_LEVELS, SIMULATED
from microworld.contexts import sample_contexts
from microworld.raters import PANEL

CONTEXTS = {c["context_id"]: c for c in sample_contexts(200, seed=1)}
DIARIES = [
    {"diary_id": f"d{i}", "context_id": c, "text": f"오늘 {CONTEXTS[c]['place']}에 다녀왔다. 햇살이 좋았다."}
    for i, c in enumerate(CONTEXTS)
]


def test_every_diary_is_rated_by_distinct_people_of_the_panel():
    ratings = rate(DIARIES, CONTEXTS, per_diary=2, double_rated=0.0, seed=0)
    assert len(ratings) == 400
    assert len({(r["diary_id"], r["rater_id"]) for r in ratings}) == 400
    assert {r["rater_id"] for r in ratings} == {r.rater_id for r in PANEL}
    assert {r["source"] for r in ratings} == {SIMULATED}
    assert {r["rating"] for r in ratings} <= set(RATING_LEVELS)


def test_a_share_is_rated_once_more():
    # 200 draws at 0.15: mean 30, standard deviation 5.05; 10 to 50 is four of them either way
    extra = len(rate(DIARIES, CONTEXTS, 1, 0.15, seed=0)) - 200
    assert 10 <= extra <= 50
    assert len(rate(DIARIES, CONTEXTS, 1, 1.0, seed=0)) == 400
    assert len(rate(DIARIES, CONTEXTS, len(PANEL), 1.0, seed=0)) == 200 * len(PANEL)


def test_a_rating_hangs_on_the_diary_and_the_seed_alone():
    def by_diary(ratings):
        return sorted((r["diary_id"], r["rater_id"], r["rating"]) for r in ratings)

    once = by_diary(rate(DIARIES, CONTEXTS, 1, 0.15, seed=0))
    assert by_diary(rate(DIARIES[::-1], CONTEXTS, 1, 0.15, seed=0)) == once
    few = {d["diary_id"] for d in DIARIES[50:60]}
    assert by_diary(rate(DIARIES[50:60], CONTEXTS, 1, 0.15, seed=0)) == [r for r in once if r[0] in few]
    assert by_diary(rate(DIARIES, CONTEXTS, 1, 0.15, seed=1)) != once
