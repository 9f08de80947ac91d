"""What is true in the micro-world, from noise-free ratings."""

import numpy as np


def arm_truth(ratings: dict[str, np.ndarray], adopted: str) -> dict:
    """ratings: prompt_id -> [N] true ratings over the same N contexts. -> means with standard errors, the best, the gap.

    gap: how far the adopted prompt's true mean lies under the best one's, in rating units (0 = it is the best).
    """
    arms = [
        {"prompt_id": p, "true_mean": float(r.mean()), "se": float(r.std(ddof=1) / np.sqrt(len(r))), "n": len(r)}
        for p, r in ratings.items()
    ]
    best = max(arms, key=lambda a: a["true_mean"])
    mine = next(a for a in arms if a["prompt_id"] == adopted)
    return {"arms": arms, "best": best["prompt_id"], "gap": best["true_mean"] - mine["true_mean"]}


def policy_truth(sft: np.ndarray, ppo: np.ndarray) -> dict[str, float]:
    """sft, ppo: [P] mean true rating of each of P prompts written by either policy.

    The prompt is the unit of replication, so standard errors are over prompts. sigmas: the difference
    in units of its standard error (Welch).
    """
    se = [float(x.std(ddof=1) / np.sqrt(len(x))) for x in (sft, ppo)]
    difference, joint = float(ppo.mean() - sft.mean()), float(np.hypot(*se))
    return {
        "sft_mean": float(sft.mean()), "sft_se": se[0], "ppo_mean": float(ppo.mean()), "ppo_se": se[1],
        "difference": difference, "se": joint, "sigmas": difference / joint if joint > 0 else 0.0, "n_prompts": len(sft),
    }  # fmt: skip
