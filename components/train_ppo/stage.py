"""Stage `train_ppo`: a policy learns what the environment's scores reward, and is stopped before it learns to cheat."""

import json
import math
import shutil
from contextlib import nullcontext
from pathlib import Path

from components.train_ppo.config import Config
from components.train_ppo.guards import GOLD, SCORE, hacking, kept, too_far, verdict
from memozy import ledger
from memozy.records import InputError, write_jsonl
from memozy.stages import In, OptionalIn, Out, Progress, Result, Work, first_rank


def run(config: Config, *, start: In, reward: OptionalIn = None, gold: OptionalIn = None, policy: Out, curves: Out,
        samples: Out, ppo_report: Out, work: Work) -> Result:  # fmt: skip
    """Go on training the policy in `start`; write the `policy` kept, `curves`, `samples` and the page `ppo_report`.

    reward: the reward model, which the diary tasks need. gold: a second one that watches, where its card says that it
    is usable. curves: JSONL, one row per update, `kept` in that of the update whose policy is kept (`guards.kept`).
    samples: JSONL of {when, step, query, response, score, kl, …}; when: "training", or "before" and "after" for the
    answers of the two policies to the same queries. Killed, it goes on from the last whole update, bit for bit; what an
    update cut short had asked a language model is in the ledger. Raises InputError where numbers are not finite.
    """
    from components.train_ppo import card, comparison, page
    from components.train_ppo.checkpoints import Checkpoints
    from memozy import policies
    from memozy.environments import open_environment
    from memozy.reward import RewardModel, ScoreCache

    if not config.enabled:
        shutil.copytree(start, policy)
        write_jsonl([], curves)
        write_jsonl([], samples)
        ppo_report.write_text(page.untrained(), encoding="utf-8")
        return Result()
    before = policies.load(start)
    scores = ScoreCache(work / "scores.sqlite")
    watch, unwatched = _watch(gold)
    models = {"reward": reward and RewardModel.load(reward, scores, before), "gold": watch and RewardModel.load(watch, scores)}
    environment = open_environment(config.environment, config.llm, before.queries, config.seed, **models)
    trainer = _trainer(config, before, environment)
    checkpoints = Checkpoints(work, before.lm.model)

    rows, shown = train(trainer, checkpoints, config, work)
    if not first_rank():
        return Result()
    cheats = hacking(rows, config.updates, config.false_alarm)
    keep = kept(rows, config.kl_target, final=True, by=GOLD if cheats else SCORE)
    rows[keep]["kept"] = 1.0
    found = verdict(rows, keep, config.updates, config.false_alarm, config.kl_limit, unwatched)
    compared = comparison.compare(before.lm, checkpoints, environment, config, keep, rows[keep]["objective/kl_coef"])

    told = {"config": config.model_dump(mode="json"), "base": vars(before.base), "rows": rows, "verdict": found, "kept": keep,
            "compared": compared, "gold": watch and _card(watch), "unwatched": unwatched}  # fmt: skip
    policies.save(before, policy, card.render(told), merge=config.merge)
    write_jsonl(rows, curves)
    write_jsonl([*({"when": "training", **row} for row in shown), *compared], samples)
    ppo_report.write_text(page.render(told), encoding="utf-8")
    first, last = rows[0], rows[keep]
    names = [name for name in ("score", "proxy", "gold", "kl") if f"objective/{name}" in first]
    return Result(
        {"updates": len(rows), "kept_update": keep, "hacking": float(found.kind == "hacking"),
         "kl_target": config.kl_target,
         **{f"{name}_first": first[f"objective/{name}"] for name in names},
         **{f"{name}_kept": last[f"objective/{name}"] for name in names}},
        curves=rows,
    )  # fmt: skip


def spent_usd() -> float:
    """What this stage has spent so far, by the ledger."""
    book = ledger.current()
    return book.total(book.stage).spent_usd


def train(trainer, checkpoints, config: Config, work: Path) -> tuple[list[dict], list[dict]]:
    """Update until the end, or until a guard stops it: (rows of the curves, samples)."""
    from memozy.live import live

    rows: list[dict] = []
    shown: list[dict] = []
    if saved := checkpoints.load():
        told, tensors = saved
        rows, shown = told["rows"], told["samples"]
        trainer.load_state(tensors, told["numbers"])
    else:
        tensors, numbers = trainer.state()
        if first_rank():
            checkpoints.save({"rows": rows, "samples": shown, "numbers": numbers}, tensors, 0, set())
    progress = Progress("train_ppo", config.updates, "updates", start=len(rows))
    with live("train_ppo", work) if first_rank() else nullcontext() as curves:
        if curves:
            curves.log(rows)
        while len(rows) < config.updates and not _stop(rows, config):
            update, spent = len(rows), spent_usd()
            numbers, sampled = trainer.step(update)
            numbers["cost_usd"] = spent_usd() - spent
            diverged = [name for name, value in numbers.items() if not math.isfinite(value)]
            if diverged:  # nothing is kept of this update
                raise InputError(f"training diverged in update {update}: {diverged[0]} is not finite",
                                 field="ppo.learning_rate", value=config.learning_rate, remedy="Lower it")  # fmt: skip
            rows.append(numbers)
            shown += sampled
            tensors, state = trainer.state()
            needed = {update, *(kept(rows, config.kl_target, False, by) for by in (SCORE, GOLD) if by in rows[0])}
            if first_rank():
                checkpoints.save({"rows": rows, "samples": shown, "numbers": state}, tensors, update + 1, needed)
            if curves:
                curves.log([numbers])
            seconds = sum(value for name, value in numbers.items() if name.startswith("seconds/"))
            look = {
                name: numbers[f"objective/{name}"] for name in ("score", "gold", "kl") if f"objective/{name}" in numbers
            }
            progress.advance(**look, **{"samples/s": config.rollouts / max(seconds, 1e-9)})
    return rows, shown


def _stop(rows: list[dict], config: Config) -> bool:
    return bool(rows) and (too_far(rows, config.kl_limit) or hacking(rows, config.updates, config.false_alarm))


def _trainer(config: Config, policy, environment):
    """Something with `step`, `state` and `load_state` that trains the policy's adapter in place."""
    from components.train_ppo.actor_critic import ActorCritic

    actor = ActorCritic(policy, config.top_layers)
    if config.algorithm == "ppo":
        from components.train_ppo.ppo import PPO

        return PPO(actor, environment, config)
    from components.train_ppo.trl_trainers import TRLTrainer

    return TRLTrainer(actor, environment, config)


def _watch(gold: Path | None) -> tuple[Path | None, str | None]:
    """(the gold model's folder, None), or (None, why none watches)."""
    if gold is None:
        return None, "there is no gold model"
    rho, low, high = _card(gold)["spearman"]
    if _card(gold)["usable"]:
        return gold, None
    return None, f"the gold model is too weak to tell (Spearman's ρ {rho:.2f}, {low:.2f} to {high:.2f})"


def _card(gold: Path) -> dict:
    return json.loads((gold / "card.json").read_text(encoding="utf-8"))
