import pytest
import torch
from pydantic import ValidationError

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.trl_trainers import TRLTrainer
from memozy.records import InputError
from tests.fakes import QUERIES
from tests.ppo import Task, policy_of, taught_lm

SETTINGS = Config(rollouts=16, group_size=4, max_new_tokens=8, epochs=2, mini_batches=2, learning_rate=1e-2)


def trainer(algorithm="rloo", task=None, taught=False, **changes) -> TRLTrainer:
    config = SETTINGS.model_copy(update={"algorithm": algorithm, **changes})
    return TRLTrainer(ActorCritic(policy_of(taught_lm(), taught=taught), config.top_layers), task or Task(), config)


def weights(trl):
    return {name: p.detach().clone() for name, p in trl.actor.trained().items()}


def measured(numbers):
    return {name: value for name, value in numbers.items() if "second" not in name}


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_reward_rises_from_where_the_policy_is_its_own_reference(algorithm, capfd):
    """With an adapter that says something already: the reference is that one, not the base."""
    task = Task(lambda text: text.count("바다") / 3)
    trl = trainer(
        algorithm, task, taught=True, rollouts=32, group_size=8, kl_target=1e9, kl_limit=1e9, kl_coef=0.005, missing_eos_score=0.0
    )
    rows = [trl.step(update)[0] for update in range(7)]
    assert abs(rows[0]["objective/kl"]) < 1e-5 and rows[0]["objective/kl_k3"] < 1e-6
    assert rows[-1]["objective/kl"] > 0.5
    assert (rows[-2]["objective/score"] + rows[-1]["objective/score"]) / 2 > rows[0]["objective/score"] + 0.15
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_gone_on_with_from_its_state_it_ends_in_the_same_bits(algorithm):
    whole = trainer(algorithm, kl_target=0.1)  # soon passed: the coefficient moves
    whole.step(0)
    tensors, numbers = whole.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    expected = [measured(whole.step(update)[0]) for update in (1, 2)]
    resumed = trainer(algorithm, kl_target=0.1)
    torch.manual_seed(99)  # what else was drawn meanwhile is nothing to it
    resumed.load_state(tensors, numbers)
    assert [measured(resumed.step(update)[0]) for update in (1, 2)] == expected
    for name, p in weights(whole).items():
        assert torch.equal(weights(resumed)[name], p), name
    assert whole.kl_coef == resumed.kl_coef != SETTINGS.kl_coef


def test_every_query_is_answered_by_a_group_and_all_are_scored_at_once():
    class Noting(Task):
        calls = []

        def reset(self, update, n):
            return [f"{QUERIES[(update + i) % 2]} {i}" for i in range(n)]

        def score(self, queries, responses):
            self.calls.append((list(queries), list(responses)))
            return super().score(queries, responses)

    task = Noting()
    trl = trainer(task=task)
    numbers, samples = trl.step(3)
    (queries, responses), *more = task.calls
    assert not more and queries == [q for q in task.reset(3, 4) for _ in range(4)]
    assert numbers["ppo/optimizer_steps"] == 4
    assert [(s["query"], s["response"]) for s in samples] == [(queries[i], responses[i]) for i in (0, 4, 8, 12)]


def test_a_reward_is_the_score_less_kl_and_length_and_an_unended_response_scores_little():
    task = Task(lambda text: 0.5, {"gold": lambda text: 0.25, "proxy": lambda text: 0.75, "fault": lambda text: 0.0})
    trl = trainer(task=task, taught=True, max_new_tokens=5, overlong_from=1, kl_coef=0.1, missing_eos_score=-0.25)
    trl.step(0)
    numbers, samples = trl.step(1)
    ended = numbers["objective/eos_rate"]
    assert 0 < ended < 1
    assert numbers["objective/score"] == pytest.approx(0.5 * ended - 0.25 * (1 - ended))
    assert {s["score"] for s in samples} <= {0.5, -0.25}
    overlong = numbers["objective/score"] - trl.config.kl_coef * numbers["objective/kl"] - numbers["objective/reward"]
    assert overlong == pytest.approx(
        (numbers["objective/length"] - 1) / 4, abs=1e-5
    )  # every one has an end or 5 tokens
    assert trl.trainer.state.log_history[0]["reward"] == pytest.approx(numbers["objective/reward"])  # what TRL was told
    assert (numbers["objective/gold"], numbers["objective/gap"], numbers["env/fault"]) == (0.25, 0.5, 0.0)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_cut_into_micro_batches_changes_no_gradient(algorithm):
    task = Task(lambda text: text.count("바다") / 3)
    norms = []
    for budget in (1, 150, 10**6):  # one row at a time, four or so, all
        trl = trainer(algorithm, task, micro_batch_tokens=budget, epochs=1, mini_batches=1, max_grad_norm=1e9)
        norms.append((trl.step(0)[0]["ppo/grad_norm"], trl.trainer.args.gradient_accumulation_steps))
    assert [steps for _, steps in norms][0] == 16 > norms[1][1] > norms[2][1] == 1
    assert norms[0][0] > 0 and [norm for norm, _ in norms[1:]] == pytest.approx([norms[0][0]] * 2, rel=1e-3)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_what_was_cut_off_is_not_learned_from_where_that_is_not_penalised(algorithm):
    trl = trainer(algorithm, truncation="bootstrap", max_new_tokens=2, epochs=1, mini_batches=1)
    before = weights(trl)
    numbers, _ = trl.step(0)
    assert numbers["objective/eos_rate"] == 0 and numbers["objective/score"] > 0
    assert all(torch.equal(p, before[name]) for name, p in weights(trl).items())


def test_only_the_adapter_trains_and_no_copy_of_it_is_left_behind():
    trl = trainer(top_layers=1)
    assert all("lora_" in name and "layers.1." in name for name in trl.actor.trained())
    assert set(trl.actor.model.peft_config) == {"default", "reference"}
    reference = {n: p.clone() for n, p in trl.actor.named_parameters() if n not in trl.actor.trained()}
    before = weights(trl)
    trl.step(0)
    assert any(not torch.equal(p, before[name]) for name, p in weights(trl).items())
    assert all(torch.equal(p, reference[n]) for n, p in trl.actor.named_parameters() if n in reference)
    assert not trl.actor.model.training


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"ppo.algorithm.*'rloo': trains on one GPU only"):
        trainer()


@pytest.mark.parametrize("rollouts", [20, 17])
def test_groups_and_mini_batches_must_come_out_even(rollouts):
    with pytest.raises(ValidationError, match="grpo needs rollouts that group_size and mini_batches divide"):
        Config(algorithm="grpo", rollouts=rollouts, mini_batches=2)
    Config(algorithm="ppo", rollouts=rollouts, mini_batches=2)
