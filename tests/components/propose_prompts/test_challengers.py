from components.propose_prompts.challengers import choose, fresh, ranked

SLOTS = "장소 {place} 사람 {people} 기분 {mood} 사진 {photo}."
LONG = (
    f"사진 일기를 세 문장으로 담백하게 써 주세요. {SLOTS} 제목이나 목록은 넣지 말고 마지막에 느낀 점을 담아 주세요. 함께한 사람과 한 일을 "
    "눈에 보이듯 적고, 소리나 냄새처럼 그날에만 있던 감각을 하나쯤 남겨 두되 억지로 꾸민 감탄이나 없던 감정은 지어내지 마세요."
)


def test_a_prompt_counts_once_however_it_is_spaced_or_marked():
    one, other = f"짧게 써 줘. {SLOTS}", f"다섯 문장으로 아주 길게 써 주세요. {SLOTS}"
    said = [one, one, other, f"짧게  써줘! {SLOTS}", f"짧게 “써 줘”, {SLOTS}"]
    assert fresh(said, known=[]) == [one, other]
    assert fresh(said, known=[f"짧게 써줘 {SLOTS}"]) == [other]


def test_a_near_duplicate_is_not_new_and_neither_is_its_copy():
    near = LONG.replace("넣지 말고", "넣지는 말고")
    assert fresh([LONG, near, near], known=[]) == [LONG]
    assert fresh([near, near], known=[LONG]) == []
    assert fresh([near], known=[]) == [near]


def test_another_number_of_sentences_is_another_prompt():
    other = LONG.replace("세 문장", "다섯 문장")
    assert fresh([LONG, other], known=[]) == [LONG, other]


def test_best_of_each_policy_and_writer_and_the_first_draw():
    candidates = {"sft": ["에스영", "에스일", "에스이"], "ppo": ["피영", "피일"], "gpt": ["지영", "지일"], "none": []}
    scores = {"에스영": 0.1, "에스일": 0.9, "에스이": 0.3, "피영": 0.2, "피일": 0.8, "지영": 0.0, "지일": -0.5}
    ranking = ranked(candidates, scores)
    assert ranking == [
        ("ppo", ["피일", "피영"]), ("best_of_n", ["에스일", "에스이", "에스영"]), ("sft", ["에스영", "에스일", "에스이"]),
        ("llm:gpt", ["지영", "지일"]), ("llm:none", []),
    ]  # fmt: skip
    assert choose(ranking) == [("ppo", "피일"), ("best_of_n", "에스일"), ("sft", "에스영"), ("llm:gpt", "지영")]


def test_what_is_chosen_already_makes_way_for_the_next():
    assert choose([("ppo", ["같은 말", "딴 말"]), ("best_of_n", ["같은 말!", "다른 것"]), ("sft", ["같은말"])]) == [
        ("ppo", "같은 말"), ("best_of_n", "다른 것"),
    ]  # fmt: skip
