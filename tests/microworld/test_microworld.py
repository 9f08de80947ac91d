import random
import statistics

import pytest

from memozy.records import template_fault
from microworld.contexts import PHOTOS, particle, sample_contexts
from microworld.instructions import GROUPS, INSTRUCTIONS, held_out, properties, sample_instructions, template
from microworld.raters import LEVELS, PANEL, quality, to_level, true_rating
from microworld.vocabulary import slot_values, train_tokenizer
from microworld.writer import write_diary

CONTEXT = {"place": "해운대", "people": "친구", "mood": "기쁨", "photo": "노을 바다"}


def test_particles_follow_the_last_syllable():
    assert particle("바다", "을", "를") == "바다를"
    assert particle("등대길", "을", "를") == "등대길을"


def test_contexts_are_distinct_seeded_and_bounded():
    some = sample_contexts(500, seed=3)
    assert some == sample_contexts(500, seed=3)
    assert len({tuple(v for k, v in c.items() if k != "context_id") for c in some}) == 500
    with pytest.raises(ValueError, match="36864"):
        sample_contexts(40_000, seed=0)


def test_every_template_of_the_world_is_usable_as_a_prompt():
    rng = random.Random(0)
    for _ in range(300):
        words = template(sample_instructions(rng, 0.5, 0.3), rng)
        assert template_fault(words) is None, words


def test_instruction_sets_hold_one_of_a_group():
    rng = random.Random(0)
    for _ in range(300):
        groups = [INSTRUCTIONS[k].group for k in sample_instructions(rng, 0.6, 0.3)]
        assert len(groups) == len(set(groups))
    assert set(GROUPS) == {i.group for i in INSTRUCTIONS.values()}


@pytest.mark.parametrize("key", sorted(INSTRUCTIONS))
def test_the_teacher_obeys_every_instruction(key):
    rng, instruction = random.Random(0), INSTRUCTIONS[key]
    contexts = sample_contexts(300, 1)

    def mean(keys):
        return statistics.mean(properties(write_diary(keys, c, rng), c)[instruction.property] for c in contexts)

    assert (mean((key,)) - mean(())) * instruction.direction > 0.05


def test_a_rater_never_sees_the_prompt():
    """The same text and context get the same rating, whichever instructions it came from."""
    text = "오늘 친구와 해운대에 다녀왔고 노을 바다를 보았다. 참 기뻤다."
    assert quality(text, CONTEXT) == quality(text, dict(CONTEXT, prompt_id="p1", context_id="c9"))


def test_rubric_by_example():
    """Not a diary and far too short are -1; detail and senses help; headings, shouting and a wrong mood hurt."""
    plain = "오늘 친구와 해운대에 다녀왔다. 노을 바다를 사진에 담았다. 하루 종일 기뻤다."
    rich = "오늘 친구와 해운대에 다녀왔다. 노을 바다의 주황빛 파도와 젖은 모래를 찍었다. 바람 소리가 귓가를 스쳤다. 하루 종일 기뻤다."
    assert true_rating("네, 일기를 써 드릴게요.\n" + rich, CONTEXT) == -1
    assert true_rating("좋았다.", CONTEXT) == -1
    assert true_rating(rich, CONTEXT) > true_rating(plain, CONTEXT)
    for worse in (
        "제목: 해운대 일기\n" + rich,
        rich.replace(".", "!!"),
        rich.replace("기뻤다", "외로웠다"),
        rich.replace("다.", "습니다."),
    ):
        assert quality(worse, CONTEXT) < quality(rich, CONTEXT), worse


def test_levels_round_to_the_nearest():
    assert [to_level(q) for q in (-2, -0.74, -0.2, 0.3, 0.76)] == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_raters_are_biased_and_inconsistent_but_reproducible():
    text = "오늘 친구와 해운대에 다녀왔다. 노을 바다를 사진에 담았다. 하루 종일 기뻤다."
    rater = PANEL[0]
    assert rater.rate(text, CONTEXT, "s") == rater.rate(text, CONTEXT, "s")
    drawn = [rater.rate(text, CONTEXT, str(i)) for i in range(200)]
    assert len(set(drawn)) > 1 and set(drawn) <= set(LEVELS)
    assert len({r.bias for r in PANEL}) == len(PANEL)


def test_tokenizer_keeps_slot_values_whole_and_any_text_intact():
    rng = random.Random(0)
    tok = train_tokenizer((write_diary((), c, rng) for c in sample_contexts(50, 0)), size=600)
    for value in (*slot_values(), "{place}"):
        assert len(tok(value)["input_ids"]) == 1, value
    for text in ("해운대에서 친구와", "제목: ★ 漢字 abc\n- 둘째 줄", "  두 칸  "):
        assert tok.decode(tok(text)["input_ids"]) == text


def test_a_share_of_the_combinations_is_held_out():
    rng = random.Random(0)
    drawn = {sample_instructions(rng, 0.4, 0.2) for _ in range(5000)}
    share = sum(map(held_out, drawn)) / len(drawn)
    assert 0.05 < share < 0.2


def test_every_photo_has_details_to_mention():
    assert all(len(set(d)) == 3 for d in PHOTOS.values())
