import itertools
import random

import pytest
import torch

from components.train_ppo.batching import LAUNCH, Rollouts, micro_batches


def test_rows_are_padded_on_the_right_and_responses_follow_their_queries():
    rollouts = Rollouts.pack([[1, 2], [3]], [[4, 5, 6], [7]])
    assert rollouts.mask().tolist() == [[1, 1, 1], [1, 0, 0]]
    batch = rollouts.batch(torch.tensor([1, 0]))
    assert batch.ids.tolist() == [[3, 7, 7, 7, 7], [1, 2, 4, 5, 6]]
    assert batch.responses.tolist() == [[7, 7, 7], [4, 5, 6]]
    assert batch.mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch.states.tolist() == [[0, 1, 1, 1], [1, 2, 3, 4]]  # 3 stands at 0 and chooses 7; 2 at 1 chooses 4, …
    assert rollouts.tokens[batch.places].tolist() == batch.ids.tolist()


def test_a_batch_is_as_wide_as_its_longest_row():
    batch = Rollouts.pack([[1, 2], [3], [4, 4, 4]], [[4, 5, 6], [7], [8]]).batch(torch.tensor([1, 2]))
    assert batch.ids.shape == (2, 4) and batch.mask.shape == (2, 1)


def cost(groups, lengths):
    return sum(len(g) * max(lengths[i] for i in g) + LAUNCH for g in groups)


@pytest.mark.parametrize("seed", range(5))
def test_micro_batches_are_the_cheapest_of_all_cuts(seed):
    lengths = [random.Random(f"{seed}|{i}").randint(1, 200) for i in range(8)]
    budget = 600
    groups = micro_batches(lengths, budget)
    assert sorted(i for g in groups for i in g) == list(range(8))
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= budget for g in groups)
    rows = sorted(range(8), key=lambda i: lengths[i])
    cuts = []
    for ends in itertools.product([False, True], repeat=7):
        bounds = [0, *(i + 1 for i, end in enumerate(ends) if end), 8]
        cuts.append([rows[a:b] for a, b in itertools.pairwise(bounds)])
    fitting = [c for c in cuts if all(len(g) == 1 or len(g) * lengths[g[-1]] <= budget for g in c)]
    assert cost(groups, lengths) == min(cost(c, lengths) for c in fitting)


def test_a_row_longer_than_the_budget_is_alone():
    assert micro_batches([5, 900, 6], 100) == [[0, 2], [1]]
    assert micro_batches([], 100) == []
