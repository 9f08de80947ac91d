import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.train_ppo.experience import Experience
from memozy.generation import Replies, generate
from tests.fakes import QUERIES, tiny_lm
from tests.ppo import Task, taught_lm, trainer, two_updates


def measured(numbers):
    return {name: value for name, value in numbers.items() if "second" not in name}


def weights(ppo):
    return {name: p.detach().clone() for name, p in ppo.actor.trained().items()}


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("top_layers", [None, 1])
def test_the_first_mini_batch_has_ratio_one_and_kl_zero(temperature, top_layers):
    """At one temperature everywhere, and with the log-probs captured while decoding."""
    numbers, _ = trainer(epochs=1, mini_batches=1, temperature=temperature, top_layers=top_layers).step(0)
    assert abs(numbers["objective/kl"]) < 1e-4 and numbers["objective/kl_k3"] < 1e-6
    assert abs(numbers["ppo/policy/max_ratio"] - 1) < 1e-5
    assert numbers["ppo/policy/clipfrac"] == 0 and abs(numbers["ppo/policy/approxkl"]) < 1e-6


def test_an_update_takes_epochs_times_mini_batches_steps():
    ppo = trainer(rollouts=7, epochs=3, mini_batches=4, stop_at_approx_kl=1e9)  # 7 rows in 4 parts: 2, 2, 2, 1
    numbers, _ = ppo.step(0)
    assert numbers["ppo/optimizer_steps"] == 12 and numbers["ppo/policy/stopped_early"] == 0
    assert {int(s["step"]) for s in ppo.learner.optimizer.state.values()} == {12}


def test_a_mini_batch_too_far_from_the_old_policy_ends_the_update_unlearnt():
    ppo = trainer(epochs=3, stop_at_approx_kl=1e-4, learning_rate=5e-2)
    numbers, _ = ppo.step(0)
    assert numbers["ppo/policy/stopped_early"] == 1 and 1 <= numbers["ppo/optimizer_steps"] < 6
    assert {s["step"].item() for s in ppo.learner.optimizer.state.values()} == {numbers["ppo/optimizer_steps"]}


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.7, "top_layers": 1, "truncation": "bootstrap"}])
def test_the_cut_into_micro_batches_changes_no_gradient(changes):
    stepped = []
    for budget in (1, 60, 10**6):  # one row at a time, two or three, all
        ppo = trainer(lm=taught_lm(), micro_batch_tokens=budget, learning_rate=1e-3, **changes)
        numbers = ppo.step(0)[0]
        stepped.append((weights(ppo), numbers["ppo/grad_norm"], numbers["ppo/policy/loss"], numbers["ppo/value/loss"]))
    for other in stepped[1:]:
        torch.testing.assert_close(other, stepped[0], atol=2e-4, rtol=1e-3)


def experience(ppo, responses, finished):
    """What is learned from given responses, one to each query in turn: log-probs of -1, every state is worth 2."""
    queries = [ppo.actor.lm.chat_ids(QUERIES[i % 2]) for i in range(len(responses))]
    said = [[-1.0] * len(r) for r in responses]
    replies = Replies(responses, said, finished, [[2.0] * (len(r) + 1) for r in responses])
    return Experience.of(ppo.actor, queries, replies, ppo.config)


def test_a_response_may_be_nothing_but_eos_or_lack_it_or_be_padded_with_it():
    lm = tiny_lm()
    eos = lm.eos_id
    lm.tokenizer.pad_token_id = eos
    assert lm.pad_id == eos
    ppo = trainer(lm=lm, missing_eos_score=-0.5)
    x = experience(ppo, [[eos], [20, 21, 22], [23, eos]], [True, False, True])
    assert x.rollouts.mask().tolist() == [
        [1, 0, 0],
        [1, 1, 1],
        [1, 1, 0],
    ]  # an EOS that was drawn counts, padding does not
    rewards = x.rewards(x.scores(torch.tensor([0.25, 0.75, 1.0]), ppo.config), 0.0, ppo.config)
    assert rewards.tolist() == [[0.25, 0, 0], [0, 0, -0.5], [0, 1.0, 0]]


def test_pad_equal_to_eos_changes_no_step():
    def stepped(pad_id):
        lm = taught_lm()
        lm.tokenizer.pad_token_id = pad_id or lm.eos_id
        ppo = trainer(lm=lm)
        return measured(ppo.step(0)[0]), weights(ppo)

    numbers, trained = stepped(None)
    others, otherwise = stepped(3)
    assert 0 < numbers["objective/eos_rate"]
    assert numbers == pytest.approx(others, abs=1e-4)
    torch.testing.assert_close(trained, otherwise, atol=1e-3, rtol=1e-3)


def test_a_response_that_never_ended_gets_the_score_for_it():
    numbers, _ = trainer(lm=taught_lm(), task=Task(lambda text: 0.7), max_new_tokens=6, missing_eos_score=-0.25).step(0)
    assert 0 < numbers["objective/eos_rate"] < 1
    expected = 0.7 * numbers["objective/eos_rate"] - 0.25 * (1 - numbers["objective/eos_rate"])
    assert numbers["objective/score"] == pytest.approx(expected, abs=1e-6)


def test_where_truncation_bootstraps_the_value_of_going_on_counts():
    ppo = trainer(truncation="bootstrap", gamma=0.5, lam=1.0)
    eos = ppo.actor.lm.eos_id
    x = experience(ppo, [[20, 21], [22, eos]], [False, True])
    rewards = x.rewards(x.scores(torch.tensor([1.0, 1.0]), ppo.config), 0.0, ppo.config)
    _, returns = x.advantages(rewards, ppo.config)
    # cut: 1 + ½·2 = 2, before it ½·2 = 1; ended: 1, before it ½·1
    torch.testing.assert_close(returns, torch.tensor([[1.0, 2.0], [0.5, 1.0]]))


@pytest.mark.parametrize("value_coef", [0.0, 0.5])
def test_the_value_head_learns_where_its_loss_counts(value_coef):
    ppo = trainer(value_coef=value_coef)
    ppo.step(0)
    assert bool(ppo.actor.value_head.weight.any()) == (value_coef > 0)  # it starts at 0


def test_overlong_responses_pay():
    ppo = trainer(overlong_from=2, max_new_tokens=6)
    x = experience(ppo, [[20], [20, 21, 22, 23]], [True, True])
    assert x.rewards(torch.tensor([1.0, 1.0]), 0.0, ppo.config).sum(1).tolist() == [1.0, 0.5]


def test_finished_rows_leave_the_batch_while_decoding():
    ppo = trainer(lm=taught_lm())
    sizes = []
    ppo.actor.trunk.register_forward_pre_hook(lambda m, a, kw: sizes.append(len(kw["input_ids"])), with_kwargs=True)
    queries = [ppo.actor.lm.chat_ids(QUERIES[i % 2]) for i in range(16)]
    rng = torch.Generator().manual_seed(0)
    replies = generate(ppo.actor.lm, queries, max_new_tokens=12, temperature=1.0, rng=rng)
    lengths = [len(r) for r in replies.tokens]
    assert sizes[0] == 16 and sizes == sorted(sizes, reverse=True) and min(lengths) < max(lengths)
    assert sum(sizes) < 0.9 * 16 * max(lengths)


def test_what_the_environment_tells_is_averaged_and_gold_is_set_against_proxy():
    odd = lambda text: sum(map(ord, text)) % 2  # noqa: E731 - some of them
    gold = lambda text: float("nan") if odd(text) else 0.5  # noqa: E731
    task = Task(lambda text: 0.1, {"proxy": lambda text: 0.75, "gold": gold, "fault": odd})
    numbers, samples = trainer(task=task).step(0)
    assert numbers["objective/proxy"] == 0.75 and numbers["objective/gold"] == 0.5 and numbers["objective/gap"] == 0.25
    assert 0 < numbers["env/fault"] < 1 and "env/gold" not in numbers
    assert len(samples) == 4 and samples[1]["query"] == QUERIES[1] and set(samples[0]) == {
        "step", "query", "response", "score", "kl", "gold",
    }  # fmt: skip


def test_the_kl_coefficient_comes_down_below_the_target_to_where_it_started_and_no_lower():
    high, low = trainer(kl_target=1.0, kl_coef=0.5), trainer(kl_target=1.0, kl_coef=0.5)
    high.kl_coef = 1.0
    for ppo in (high, low):
        ppo.step(0)  # its KL is 0
    assert high.kl_coef == pytest.approx(0.8) and low.kl_coef == 0.5


def test_ppo_learns_what_it_is_paid_for():
    """Paid 1 for a reply that names a friend and 0 else, the policy comes to name one nearly always."""
    named = Task(lambda text: float("친구" in text))
    ppo = trainer(
        lm=taught_lm(), task=named, rollouts=32, kl_coef=0.0, kl_target=1e9, kl_limit=1e9, stop_at_approx_kl=1.0
    )
    scores = [ppo.step(u)[0]["objective/score"] for u in range(12)]
    assert scores[0] < 0.6 and np.mean(scores[-5:]) > 0.8, scores


@pytest.mark.parametrize("top_layers", [None, 1])
def test_a_resumed_run_is_bit_identical(top_layers):
    def fresh():
        return trainer(lm=taught_lm(), top_layers=top_layers, kl_target=0.01)

    straight = fresh()
    rows = [measured(straight.step(u)[0]) for u in range(4)]
    first = fresh()
    for u in range(2):
        first.step(u)
    tensors, numbers = first.state()
    second = fresh()
    second.load_state({k: v.clone() for k, v in tensors.items()}, numbers)
    assert [measured(second.step(u)[0]) for u in (2, 3)] == rows[2:]
    assert rows[3]["objective/kl"] != 0 and rows[3]["objective/kl_coef"] != rows[0]["objective/kl_coef"]
    for name, p in weights(straight).items():
        assert torch.equal(p, weights(second)[name]), name


def test_in_bfloat16_losses_values_and_the_optimiser_stay_float32():
    lm = tiny_lm()
    lm.model.to(torch.bfloat16)
    ppo = trainer(lm=lm)
    x = experience(
        ppo, [[20, 21, 22], [23]], [True, True]
    )  # its replies claim log-probs of -1, and values of 2, which are not believed
    assert {x.old_logp.dtype, x.ref_logp.dtype, x.values.dtype} == {torch.float32}
    torch.testing.assert_close(x.old_logp, x.ref_logp)
    assert (x.old_logp[0] + 1).abs().min() > 1e-3
    lm = taught_lm()
    lm.model.to(torch.bfloat16)
    ppo = trainer(lm=lm, epochs=1, mini_batches=1, micro_batch_tokens=1)
    first, _ = ppo.step(0)
    assert abs(first["ppo/policy/max_ratio"] - 1) < 1e-5
    later, _ = ppo.step(1)
    assert all(np.isfinite(v) for v in later.values()) and later["objective/kl_k3"] > 0
    assert {p.dtype for p in ppo.actor.trained().values()} == {torch.float32}
    assert {m.dtype for s in ppo.learner.optimizer.state.values() for m in s.values()} == {torch.float32}


def test_two_ranks_do_what_one_does(tmp_path):
    """Two processes (gloo), as torchrun starts them, with 3 and 4 of the 7 rollouts, against one that has them all."""
    taught_lm().save(tmp_path / "model")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(s.getsockname()[1]), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen([sys.executable, "-m", "tests.ppo", str(tmp_path), f"rank-{r}"], stdout=subprocess.PIPE, text=True,
                         stderr=subprocess.STDOUT, env={**os.environ, **meeting, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in (0, 1)
    ]  # fmt: skip
    two_updates(tmp_path, "alone")
    for rank in ranks:
        said, _ = rank.communicate(timeout=300)
        assert rank.returncode == 0, said
    a, b, alone = (load_file(tmp_path / f"{name}.safetensors") for name in ("rank-0", "rank-1", "alone"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert alone["1.objective/kl"].abs() > 1e-3 and 0 < alone["1.objective/eos_rate"]
    for update in (0, 1):  # the one thing that is different: who is padded to whose length
        assert a.pop(f"{update}.ppo/padding") != alone.pop(f"{update}.ppo/padding")
    torch.testing.assert_close(a, alone, atol=1e-4, rtol=1e-3)
