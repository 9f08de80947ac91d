"""The same queries answered by the policy of before and by the one of after: what the training has brought."""

import numpy as np
import torch

from components.train_ppo.checkpoints import Checkpoints
from components.train_ppo.config import Config
from memozy.environments import Environment
from memozy.generation import generate
from memozy.modeling import LanguageModel


def compare(lm: LanguageModel, checkpoints: Checkpoints, environment: Environment, config: Config, kept: int,
            kl_coef: float) -> list[dict]:  # fmt: skip
    """Rows of {when: "before"|"after", step, query, response, score, reward, kl, and proxy and gold where they are known}.

    The queries, and what the responses are tried on, are of an update that was not trained on, and both policies draw
    with the same random numbers. reward: score less kl_coef times KL, of this one response; that KL may be negative.
    The model is left with the adapter of `kept`.
    """
    queries, rows = environment.reset(config.updates, config.compared), []
    ids = [lm.chat_ids(query) for query in queries]
    for when, update in (("before", 0), ("after", kept)):
        checkpoints.put_back(update)
        rng = torch.Generator().manual_seed(config.seed)
        replies = generate(lm, ids, max_new_tokens=config.max_new_tokens, temperature=config.temperature, rng=rng)
        own = _logp(lm, ids, replies.tokens, config.temperature)
        checkpoints.put_back(0)
        kl = own - _logp(lm, ids, replies.tokens, config.temperature)  # [B], 0 before
        texts = [lm.text(tokens) for tokens in replies.tokens]
        scored = environment.score(queries, texts)
        scores = np.where(replies.finished, scored.scores, config.missing_eos_score)
        known = {name: scored.info[name] for name in ("proxy", "gold") if name in scored.info}
        rows += [
            {"when": when, "step": update, "query": queries[i], "response": texts[i], "score": float(scores[i]),
             "reward": float(scores[i] - kl_coef * kl[i]), "kl": float(kl[i]),
             **{name: float(values[i]) for name, values in known.items()}}
            for i in range(len(queries))
        ]  # fmt: skip
    checkpoints.put_back(kept)
    return rows


@torch.no_grad()
def _logp(lm: LanguageModel, queries: list[list[int]], responses: list[list[int]], temperature: float) -> np.ndarray:
    """Log-prob of each response under the model as it is, [B]."""
    sums = []
    for query, response in zip(queries, responses, strict=True):
        ids = torch.tensor([[*query, *response]], device=lm.device)  # [1, T]
        logits = lm.model(input_ids=ids).logits[0, len(query) - 1 : -1]  # [R, V]
        logp = torch.log_softmax(logits.float() / temperature, dim=-1)
        sums.append(logp.gather(1, ids[0, len(query) :, None]).sum().item())
    return np.array(sums)
