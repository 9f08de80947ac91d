import math
import random

import pytest
import torch

from pipelines import from_scratch
from pipelines.from_scratch import Example, batches, collate, loss, tokenize, train, warmup_cosine
from tests.fakes import QUERIES, tiny_lm


def examples(lm, n=48):
    return [tokenize(lm, QUERIES[i % 2], ["바다를 보았다.", "오늘은 참 즐거웠다."][i % 2]) for i in range(n)]


def test_loss_is_the_weighted_mean_over_reply_tokens_only():
    lm = tiny_lm()
    one = Example(lm.chat_ids("질문"), [7, 9, lm.eos_id], [1.0, 4.0, 1.0])
    ids, mask, weights = collate([one, Example([5], [6], [1.0])], lm.pad_id)
    with torch.no_grad():
        logp = torch.log_softmax(lm.model(ids, attention_mask=mask).logits, -1)
    n = len(one.prompt)
    nll = [-logp[0, n - 1 + k, t].item() for k, t in enumerate(one.reply)] + [-logp[1, 0, 6].item()]
    expected = (nll[0] + 4 * nll[1] + nll[2] + nll[3]) / 7
    assert math.isclose(loss(lm.model, ids, mask, weights).item(), expected, rel_tol=1e-5)


def test_every_example_comes_once_an_epoch():
    data = [Example([1] * (1 + i % 7), [i], [1.0]) for i in range(50)]
    stream = batches(data, 8, random.Random(0))
    epoch = [e.reply[0] for _ in range(7) for e in next(stream)]
    assert sorted(epoch) == list(range(50))


def test_learning_rate_schedule_by_hand():
    assert warmup_cosine(0, 100, 10) == 0.1
    assert warmup_cosine(10, 100, 10) == 1.0
    assert math.isclose(warmup_cosine(55, 100, 10), 0.55)
    assert math.isclose(warmup_cosine(100, 100, 10), 0.1)


def test_training_lowers_the_loss():
    lm = tiny_lm()
    losses = train(
        lm.model, examples(lm), steps=30, batch_size=8, learning_rate=5e-3, warmup=3, pad_id=lm.pad_id, seed=0
    )
    assert losses[-1] < 0.3 * losses[0]


def test_killed_training_goes_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(from_scratch, "CHECKPOINT_EVERY", 5)
    settings = {"steps": 12, "batch_size": 8, "learning_rate": 5e-3, "warmup": 3, "seed": 0}
    straight = tiny_lm()
    expected = train(straight.model, examples(straight), pad_id=straight.pad_id, **settings)

    class Killed(Exception):
        pass

    def kill(step, _):
        if step == 7:
            raise Killed

    checkpoint = tmp_path / "state.safetensors"
    first = tiny_lm()
    with pytest.raises(Killed):
        train(first.model, examples(first), pad_id=first.pad_id, on_step=kill, checkpoint=checkpoint, **settings)
    second = tiny_lm()
    rest = train(second.model, examples(second), pad_id=second.pad_id, checkpoint=checkpoint, **settings)
    assert rest == expected[5:]
    assert not checkpoint.exists()
    for a, b in zip(straight.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
