"""What can be photographed: places, companions, moods and photos with their details."""

import random
from itertools import product

PLACES = (
    "해운대", "경복궁", "남이섬", "한라산", "여의도", "전주", "강릉", "속초", "춘천", "여수", "경주", "부산",
    "서울", "제주", "통영", "순천만", "북촌", "이태원", "설악산", "대천", "안동", "담양", "정동진", "인사동",
)  # fmt: skip

PEOPLE = ("혼자", "친구", "가족", "엄마", "아빠", "동생", "연인", "동료")

# mood -> past-tense stem, to be followed by 고 / 다 / 습니다
MOODS = {
    "기쁨": "기뻤", "설렘": "설렜", "편안함": "편안했", "뿌듯함": "뿌듯했",
    "그리움": "그리웠", "아쉬움": "아쉬웠", "피곤함": "피곤했", "외로움": "외로웠",
}  # fmt: skip

# photo -> details that a careful writer would mention
PHOTOS = {
    "노을 바다": ("주황빛 파도", "갈매기 두 마리", "젖은 모래"),
    "골목 카페": ("나무 의자", "하얀 커피잔", "작은 화분"),
    "벚꽃 길": ("분홍 꽃잎", "흰 난간", "긴 가로수"),
    "돌담길": ("이끼 낀 돌", "낡은 기와", "담쟁이 잎"),
    "야시장": ("노란 전구", "꼬치 가게", "붐비는 천막"),
    "기차역": ("파란 의자", "낡은 시계", "긴 선로"),
    "눈사람": ("당근 코", "빨간 목도리", "나뭇가지 팔"),
    "떡볶이": ("빨간 국물", "삶은 달걀", "둥근 접시"),
    "한옥 마당": ("처마 끝 풍경", "장독 세 개", "마루 한 칸"),
    "등대": ("하얀 벽", "검은 바위", "녹슨 계단"),
    "단풍 숲": ("붉은 잎", "마른 가지", "좁은 오솔길"),
    "놀이공원": ("회전목마", "풍선 다섯 개", "커다란 관람차"),
    "강아지": ("갈색 귀", "까만 코", "빨간 목줄"),
    "고양이": ("줄무늬 꼬리", "초록 눈", "하얀 발"),
    "케이크": ("딸기 세 알", "촛불 하나", "은색 포크"),
    "폭포": ("하얀 물줄기", "둥근 돌", "무지개 조각"),
    "논밭": ("초록 벼", "허수아비", "낮은 둑"),
    "분수": ("솟는 물줄기", "젖은 계단", "동전 몇 개"),
    "책방": ("높은 책장", "낡은 엽서", "종이 등불"),
    "옥상 야경": ("빨간 불빛", "먼 다리", "낮은 지붕"),
    "갈대밭": ("은빛 갈대", "나무 다리", "철새 떼"),
    "국밥집": ("뜨거운 뚝배기", "깍두기 접시", "낡은 간판"),
    "자전거": ("작은 바구니", "반짝이는 종", "검은 바퀴"),
    "꽃시장": ("노란 튤립", "젖은 신문지", "초록 줄기"),
}  # fmt: skip


def sample_contexts(n: int, seed: int, prefix: str = "c") -> list[dict]:
    """`n` distinct contexts, in a seeded order; ids `<prefix>00000…`.

    Raises ValueError when more are asked for than the world has (24 × 8 × 8 × 24 = 36,864).
    """
    world = list(product(PLACES, PEOPLE, MOODS, PHOTOS))
    if not 0 <= n <= len(world):
        raise ValueError(f"the micro-world has {len(world)} contexts; got n={n}")
    return [
        {"context_id": f"{prefix}{i:05d}", "place": place, "people": people, "mood": mood, "photo": photo}
        for i, (place, people, mood, photo) in enumerate(random.Random(seed).sample(world, n))
    ]


def particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """`word` with the Korean particle its last syllable calls for: particle("바다", "을", "를") = "바다를".

    A syllable block ends in a consonant when (code point - 0xAC00) mod 28 is not 0 (Unicode §3.12).
    """
    has_final = (ord(word[-1]) - 0xAC00) % 28 != 0
    return word + (after_consonant if has_final else after_vowel)
