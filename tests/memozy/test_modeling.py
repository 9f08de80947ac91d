import copy

import torch

from memozy.modeling import LanguageModel
from tests.fakes import tiny_lm


def test_a_model_without_chat_template_gets_plain_text():
    lm = tiny_lm()
    plain = copy.deepcopy(lm.tokenizer)
    plain.chat_template = None
    assert plain.decode(LanguageModel(lm.model, plain).chat_ids("안녕")) == "안녕\n"


def test_save_and_load_keep_every_logit(tmp_path):
    lm = tiny_lm()
    lm.save(tmp_path)
    again = LanguageModel.load(tmp_path)
    ids = torch.tensor([lm.chat_ids("해운대 친구 기쁨 노을 바다")])
    assert again.chat_ids("해운대 친구 기쁨 노을 바다") == ids[0].tolist()
    assert torch.equal(lm.model(ids).logits, again.model(ids).logits)
