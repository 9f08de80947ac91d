"""The reward model: features by hand, bounded scores, gates, and files that only ever hold what we trust."""

import hashlib
import random
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.train_reward.candidates import CANDIDATES, fit
from memozy import reward
from memozy.records import InputError
from memozy.reward import RewardModel, clean, surface_features
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary


def rated(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = random.Random(seed)
    texts, ratings = [], []
    for i, context in enumerate(sample_contexts(n, seed)):
        texts.append(write_diary(sample_instructions(rng, 0.5, 0.25), context, rng))
        ratings.append(PANEL[i % len(PANEL)].rate(texts[-1], context, str(i)))
    return texts, np.array(ratings)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    texts, ratings = rated(150, seed=1)
    return fit(texts, ratings, np.ones(150), CANDIDATES["ensemble"], seed=0, residual_sd=0.4)


DIARY = "오늘 친구와 해운대에 다녀왔다. 젖은 모래와 갈매기를 사진에 담았다. 바람 소리가 좋았고 마음이 편안했다."


def features(text: str) -> dict[str, float]:
    return dict(zip(reward.SURFACE, surface_features([text])[0], strict=True))


def test_features_by_hand():
    f = features("오늘 부산에 갔다. 정말 좋았다! 정말 즐겁습니다")
    # 10 + 1 + 7 + 1 + 8 = 27 characters, 3 + 2 + 2 = 7 words of which 정말 stands twice
    assert (f["characters"], f["sentences"], f["distinct_words"]) == (27.0, 3.0, 6.0)
    assert f["distinct_word_share"] == pytest.approx(6 / 7)
    assert (f["exclamation_marks"], f["full_stops"], f["lines"]) == (1.0, 1.0, 1.0)
    # of three sentences two end in past-tense 다 (갔다, 좋았다) and one in 니다
    assert f["plain_share"] == pytest.approx(2 / 3)
    assert f["past_share"] == pytest.approx(2 / 3)
    assert f["polite_share"] == pytest.approx(1 / 3)
    assert f["mixed_speech"] == 1.0
    assert f["letters_up_to_50"] == 19.0, "neither marks nor spaces make a text longer"
    # 6 spaces; of the other 21 characters all but . and ! are Hangul
    assert f["hangul_share"] == pytest.approx(19 / 21)


def test_features_of_structure_and_repetition():
    f = features("제목: 바다\n- 갔다\n- 갔다")
    assert (f["lines"], f["listed_lines"], f["colons"]) == (3.0, 3.0, 1.0)
    # "가나가나가나" has three windows of four characters: 가나가나, 나가나가, 가나가나
    assert features("가나가나가나")["repeated_gram_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "!" * 60,
        "행복했다",
        "Today I went to the beach with a friend and it was a wonderful day for both of us.",
        "ㅋ" * 60,
        DIARY * 85,  # about 5000 characters
        f"{DIARY} {DIARY}",
        "참 기뻤고 " * 10 + "참 기뻤다.",
        DIARY + "!" * 60,
    ],
    ids=["empty", "blank", "shouting", "a word", "English", "letters", "endless", "twice", "looping", "shouted"],
)
def test_the_gate_shuts_out_what_nobody_rated(model, text):
    scores, uncertainty = model.score([text, DIARY])
    assert (scores[0], uncertainty[0]) == (-1.0, 0.0)
    assert scores[1] > -0.5, "a diary passes"


def test_marks_cannot_buy_a_score(model):
    marked, _ = model.score([DIARY + "!" * n for n in (0, 3, 6, 9, 12, 15, 18)])
    assert (marked <= marked[0] + 0.1).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(alphabet=st.sampled_from("가나다라마바사았었고다요. !?~\n-:abㅋ1") | st.characters()), max_size=5)
)
def test_any_text_gets_a_bounded_score(model, texts):
    scores, uncertainty = model.score(texts)
    assert scores.shape == uncertainty.shape == (len(texts),)
    assert (np.abs(scores) <= 1).all() and (uncertainty >= 0).all() and np.isfinite(uncertainty).all()


def test_a_score_belongs_to_its_text_alone(model):
    texts, _ = rated(20, seed=2)
    scores, uncertainty = model.score(texts)
    assert uncertainty.max() > 0, "members differ"
    again, _ = model.score([texts[3], texts[0], texts[3], unicodedata.normalize("NFD", texts[3]) + "\n"])
    np.testing.assert_allclose(again, scores[[3, 0, 3, 3]], rtol=0, atol=1e-12)


def test_members_are_clipped_before_the_mean(model):
    says, _ = model.member_scores([clean(t) for t in rated(50, seed=3)[0]])
    assert set(says) == {"ridge", "kernel", "trees"}
    assert all((np.abs(s) <= 1).all() for s in says.values())


def test_one_member_answers_with_its_residual_sd_and_none_with_the_mean():
    texts, ratings = rated(60, seed=4)
    alone = fit(texts, ratings, np.ones(60), ("ridge",), seed=0, residual_sd=0.4)
    assert (alone.score(texts)[1] == 0.4).all()
    constant = fit(texts, ratings, np.arange(1, 61), (), seed=0, residual_sd=0.5)
    scores, uncertainty = constant.score(["", DIARY])
    assert scores.tolist() == [ratings.mean()] * 2, "each rating counts once, whatever its copies"
    assert uncertainty.tolist() == [0.5, 0.5]


def test_what_is_loaded_scores_exactly_as_what_was_saved(model, tmp_path):
    model_hash = model.save(tmp_path)
    loaded = RewardModel.load(tmp_path)
    texts = rated(40, seed=5)[0] + ["", "!" * 60]
    for before, after in zip(model.score(texts), loaded.score(texts), strict=True):
        assert np.array_equal(before, after)
    assert loaded.model_hash == model_hash == hashlib.sha256((tmp_path / "model.skops").read_bytes()).hexdigest()
    assert (loaded.gate, loaded.mean, loaded.residual_sd) == (model.gate, model.mean, model.residual_sd)


def test_equal_models_are_equal_files(tmp_path):
    texts, ratings = rated(60, seed=6)
    hashes = {
        fit(texts, ratings, np.ones(60), CANDIDATES["ensemble"], seed=seed).save(tmp_path / str(i))
        for i, seed in enumerate((0, 0, 1))
    }
    assert len(hashes) == 2, "the seed decides"


def test_a_file_with_an_untrusted_type_is_refused(model, tmp_path):
    """The same file, one name in its schema changed to a function that would run on load or use."""
    model.save(tmp_path)
    file = tmp_path / "model.skops"
    with zipfile.ZipFile(file) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    honest = b'"__class__": "Ridge"'
    assert honest in parts["schema.json"]
    parts["schema.json"] = parts["schema.json"].replace(honest, b'"__class__": "Evil"')
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="Evil"):
        RewardModel.load(tmp_path)


def test_a_stored_function_is_refused(tmp_path):
    import os

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(
        {"surface": list(reward.SURFACE), "characters": FunctionTransformer(os.system)}, tmp_path / "model.skops"
    )
    with pytest.raises(InputError, match="system"):
        RewardModel.load(tmp_path)


def test_missing_damaged_and_foreign_files_are_named(model, tmp_path):
    import skops.io

    with pytest.raises(InputError, match=r"model\.skops: no such file"):
        RewardModel.load(tmp_path)
    (tmp_path / "model.skops").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="is damaged"):
        RewardModel.load(tmp_path)
    skops.io.dump({"surface": ["characters"]}, tmp_path / "model.skops")
    with pytest.raises(InputError, match="trained on other features"):
        RewardModel.load(tmp_path)


def test_importing_is_light():
    heavy = ["sklearn", "skops", "scipy", "pandas", "torch", "mlflow", "kfp"]
    code = f"import sys, memozy.reward; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
