import pytest

from components.generate_diaries.answers import fault


@pytest.mark.parametrize(
    "text",
    [
        "ERROR", "Error: rate limit reached", '{"error": {"message": "overloaded"}}', "ERROR입니다",
        "I'm sorry, but I can't help with that.", "Sorry, I cannot see images.", "I cannot view the photo.",
        "As an AI language model, I have no day.", "I am unable to do this.",
        "죄송합니다. 사진을 볼 수 없습니다.", "죄송하지만 일기를 작성할 수가 없어요.", "죄송합니다, 요청하신 내용은 어렵습니다.",
        "죄송합니다. 사진을 볼 수 없어서 일기를 쓰기 어렵습니다.", "저는 인공지능이라 하루가 없습니다.", "저는 언어 모델이라",
        "AI 언어 모델로서 저는 하루가 없습니다.", "나는 AI입니다.", "저는 이미지를 볼 수 없습니다", "null", "None.",
        "사진을 볼 수 없습니다. 사진을 다시 올려 주세요.", "첨부된 이미지를 직접 확인할 수 없어요.", "오류가 발생했습니다.",
        "서버 오류가 발생했습니다.", "오류: 500", "Unfortunately, I can't view images.",
    ],
)  # fmt: skip
def test_errors_and_refusals_are_no_diaries(text):
    assert fault(text) == f"refusal: {text}"
    assert fault(f" **{text}**") is not None


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_diary(text):
    assert fault(text) == "empty answer"


@pytest.mark.parametrize(
    "text",
    [
        "오늘 부산에서 바다를 봤다. 이 기분을 잊을 수 없다.", "죄송한 마음으로 엄마와 남이섬에 갔다. 눈물을 참을 수 없었다.",
        "친구에게 죄송합니다라고 말할 수 없었다.", "Errors가 난 하루. 그래도 좋았다.", "나는 친구와 AI 전시를 봤다.",
        "미안하다고 말하려고 동생을 만났다.", "미안해요, 엄마. 오늘 전화할 수 없어서 속상했다.",
        "나는 AI 전시회에 다녀왔다. 즐거웠다", "저는 AI 박람회에서 로봇을 봤어요.", "나는 AI라는 영화를 봤다.", "저는 인공지능 강연을 들었습니다.",
        "사진으로는 볼 수 없는 바다였다.", "사진을 더 볼 수 없어서 아쉬웠다.", "오류동에서 친구를 만났다.", "오류가 난 버스 때문에 걸었다.",
        "Nonetheless라는 노래를 들었다.",
    ],
)  # fmt: skip
def test_a_diary_may_say_sorry_and_tell_of_an_ai(text):
    assert fault(text) is None
