"""Questions of the micro-world: who of two did it? Half of the contexts tell, half do not, and then «알 수 없다» is right.

A context names two persons, animals or places, says that one of them did something, and tells which (or does not).
The choices are the two and a way of saying «unknown», in any order. A story is a pair: what both did, and what one did.
A third of the pairs is held back, so that what a model or a prompt learned can be asked about stories that it has never
met, though it knows their halves.
"""

import random
from itertools import permutations
from typing import NamedTuple

from microworld.contexts import particle

UNKNOWNS = (
    "알 수 없다", "알 수 없음", "판단할 수 없다", "답할 수 없다", "확인할 수 없다", "알기 어렵다", "정보가 부족하다", "모르겠다",
)  # fmt: skip


class Category(NamedTuple):
    """subjects: who stories are about; one: how one of two is called; asks: the end of the question.

    halves: (what both did; what one of them did; the same before a noun), numbered from 0. Any of the first goes with
    any of the others.
    """

    subjects: tuple[str, ...]
    one: tuple[str, ...]
    asks: tuple[str, ...]
    halves: tuple[tuple[str, str, str], ...]


_PERSON = {
    "one": ("둘 중 한 사람이", "한 사람이", "누군가", "두 사람 가운데 하나가"),
    "asks": ("사람은 누구인가?", "사람은 누구일까?", "쪽은 누구인가?", "사람이 누구인지 고르시오."),
}
CATEGORIES = {
    "name": Category(
        ("민수", "지영", "현우", "서연"), **_PERSON,
        halves=(
            ("도서관에 갔다", "책을 두고 왔다", "책을 두고 온"), ("공원을 걸었다", "지갑을 잃어버렸다", "지갑을 잃어버린"),
            ("시험을 보았다", "답을 베꼈다", "답을 베낀"), ("버스를 기다렸다", "약속에 늦었다", "약속에 늦은"),
            ("저녁을 먹었다", "접시를 깼다", "접시를 깬"), ("춤을 배웠다", "상을 받았다", "상을 받은"),
            ("회의에 들어갔다", "노트를 빌렸다", "노트를 빌린"), ("산에 올랐다", "먼저 내려왔다", "먼저 내려온"),
            ("기타를 샀다", "노래를 불렀다", "노래를 부른"), ("영화를 보았다", "눈물을 흘렸다", "눈물을 흘린"),
            ("청소를 했다", "창문을 열어 두었다", "창문을 열어 둔"), ("체스를 두었다", "경기에서 이겼다", "경기에서 이긴"),
        ),
    ),
    "job": Category(
        ("간호사", "기자", "요리사", "경찰"), **_PERSON,
        halves=(
            ("같은 기차를 탔다", "표를 잃어버렸다", "표를 잃어버린"), ("시장에서 만났다", "사과를 샀다", "사과를 산"),
            ("강연을 들었다", "손을 들고 물었다", "손을 들고 물은"), ("식당에 앉았다", "국수를 시켰다", "국수를 시킨"),
            ("여행을 떠났다", "가방을 잘못 들었다", "가방을 잘못 든"), ("병원에 들렀다", "주사를 맞았다", "주사를 맞은"),
            ("이웃이 되었다", "개를 키웠다", "개를 키운"), ("전시를 보았다", "그림을 샀다", "그림을 산"),
            ("마라톤에 나갔다", "중간에 멈추었다", "중간에 멈춘"), ("편지를 썼다", "우표를 빠뜨렸다", "우표를 빠뜨린"),
            ("모임에 나갔다", "돈을 냈다", "돈을 낸"), ("호텔에 묵었다", "열쇠를 맡겼다", "열쇠를 맡긴"),
        ),
    ),
    "kin": Category(
        ("할머니", "할아버지", "이모", "삼촌"), **_PERSON,
        halves=(
            ("거실에 있었다", "전화를 걸었다", "전화를 건"), ("밭에서 일했다", "감자를 캤다", "감자를 캔"),
            ("김치를 담갔다", "소금을 쏟았다", "소금을 쏟은"), ("스마트폰을 샀다", "사용법을 물었다", "사용법을 물은"),
            ("온천에 갔다", "수건을 놓고 왔다", "수건을 놓고 온"), ("마당을 쓸었다", "허리를 다쳤다", "허리를 다친"),
            ("잔치에 모였다", "떡을 가져왔다", "떡을 가져온"), ("사진을 정리했다", "앨범을 잃어버렸다", "앨범을 잃어버린"),
            ("낚시를 갔다", "큰 고기를 잡았다", "큰 고기를 잡은"), ("은행에 갔다", "통장을 만들었다", "통장을 만든"),
            ("바둑을 두었다", "경기에서 졌다", "경기에서 진"), ("병원에 갔다", "약을 받았다", "약을 받은"),
        ),
    ),
    "animal": Category(
        ("토끼", "여우", "다람쥐", "거북이"),
        ("둘 중 하나가", "한 마리가", "어느 하나가", "두 동물 가운데 하나가"),
        ("동물은 무엇인가?", "동물은 누구일까?", "쪽은 누구인가?", "동물이 무엇인지 고르시오."),
        (
            ("숲에서 만났다", "도토리를 숨겼다", "도토리를 숨긴"), ("강가에 살았다", "집을 지었다", "집을 지은"),
            ("달리기를 했다", "잠이 들었다", "잠이 든"), ("겨울을 준비했다", "먹이를 나누었다", "먹이를 나눈"),
            ("언덕을 넘었다", "길을 잃었다", "길을 잃은"), ("밭에 들어갔다", "당근을 먹었다", "당근을 먹은"),
            ("나무 아래에서 쉬었다", "낮잠을 잤다", "낮잠을 잔"), ("굴을 팠다", "발을 다쳤다", "발을 다친"),
            ("연못에 갔다", "물에 빠졌다", "물에 빠진"), ("비를 피했다", "먼저 떠났다", "먼저 떠난"),
            ("잔치를 열었다", "케이크를 구웠다", "케이크를 구운"), ("별을 보았다", "소원을 빌었다", "소원을 빈"),
        ),
    ),
    "shop": Category(
        ("빵집", "서점", "약국", "꽃집"),
        ("둘 중 한 곳이", "한 곳이", "어느 한 곳이", "두 가게 가운데 하나가"),
        ("곳은 어디인가?", "가게는 어디일까?", "쪽은 어디인가?", "곳이 어디인지 고르시오."),
        (
            ("같은 골목에 있다", "월요일에 문을 닫았다", "월요일에 문을 닫은"), ("역 앞에 있다", "간판을 바꾸었다", "간판을 바꾼"),
            ("시장 안에 있다", "값을 올렸다", "값을 올린"), ("나란히 붙어 있다", "새 주인을 맞았다", "새 주인을 맞은"),
            ("봄에 문을 열었다", "손님을 많이 받았다", "손님을 많이 받은"), ("학교 옆에 있다", "불을 켜 두었다", "불을 켜 둔"),
            ("작년에 생겼다", "다른 곳으로 옮겼다", "다른 곳으로 옮긴"), ("광장에 있다", "꽃을 심었다", "꽃을 심은"),
            ("길을 마주 보고 있다", "직원을 뽑았다", "직원을 뽑은"), ("다리 건너에 있다", "문을 늦게 열었다", "문을 늦게 연"),
            ("한 건물에 있다", "벽을 새로 칠했다", "벽을 새로 칠한"), ("바닷가에 있다", "의자를 내놓았다", "의자를 내놓은"),
        ),
    ),
}  # fmt: skip
_ASIDES = (
    "",
    "",
    "날씨가 맑았다. ",
    "아침부터 비가 왔다. ",
    "주말이었다. ",
    "사람이 많았다. ",
    "바람이 불었다. ",
    "조용한 날이었다. ",
)
# the order of the two subjects and «unknown», and which of the two the context tells of: half the time neither
_DESIGNS = [(order, told) for order in permutations(range(3)) for told in (None, None, 0, 1)]


def subjects() -> tuple[str, ...]:
    return tuple(each for category in CATEGORIES.values() for each in category.subjects)


def held_back(both: int, did: int) -> bool:
    """Whether the story of these two halves is kept out of every corpus, prompt and `questions.jsonl`."""
    return (both + did) % 3 == 0


def sample_questions(n: int, seed: int, held: bool) -> list[dict]:
    """`n` rows of memozy.qna.QUESTIONS, ids `<category>-<halves>-<row>`, from the stories that are held back or the others.

    The stories take turns. In every 24 rows each order of the choices stands equally often, 12 contexts do not tell,
    6 tell of the one named first and 6 of the other, so that no constant answer is right more often than chance.
    """
    rng = random.Random(seed)
    stories = [
        (name, both, did) for name, c in CATEGORIES.items() for both in range(len(c.halves)) for did in range(len(c.halves))
        if held_back(both, did) == held
    ]  # fmt: skip
    rows, turns, designs = [], [], []
    for row in range(n):
        turns = turns or rng.sample(stories, len(stories))
        designs = designs or rng.sample(_DESIGNS, len(_DESIGNS))
        (name, both, did), (order, told) = turns.pop(), designs.pop()
        question = _question(CATEGORIES[name], both, did, order, told, rng)
        rows.append({"question_id": f"{name}-{both:02d}{did:02d}-{row:05d}", **question})
    return rows


def _question(
    category: Category, both: int, did: int, order: tuple[int, ...], told: int | None, rng: random.Random
) -> dict:
    (together, _, _), (_, act, acting) = category.halves[both], category.halves[did]
    first, second = rng.sample(category.subjects, 2)
    unknown = rng.choice(UNKNOWNS)
    told_of = None if told is None else (first, second)[told]
    if told_of is None:
        event = f"{rng.choice(category.one)} {act}."
    else:
        event = f"{particle(told_of, '이', '가')} {act}."
    opening = f"{particle(first, '과', '와')} {particle(second, '은', '는')} {together}."
    choices = [(first, second, unknown)[i] for i in order]
    return {
        "context": f"{opening} {rng.choice(_ASIDES)}{event}",
        "question": f"{acting} {rng.choice(category.asks)}",
        "choices": choices,
        "answer": told_of or unknown,
    }


def places(row: dict) -> tuple[int, int]:
    """Which of a row's choices is right and which says «unknown», counted from 0."""
    unknown = next(i for i, choice in enumerate(row["choices"]) if choice in UNKNOWNS)
    return row["choices"].index(row["answer"]), unknown
