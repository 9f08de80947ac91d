"""Stage `personalize_prompts`: who is shown which prompt, and what switching to that is worth."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from components.personalize_prompts import page
from components.personalize_prompts.allocation import allocate, departures, policy
from components.personalize_prompts.config import Config
from components.personalize_prompts.offpolicy import crossfit, estimates, evaluable, since_all, support
from components.personalize_prompts.segments import Log, estimate, make_log
from memozy.feedback import outcomes, read_events
from memozy.records import ARMS, InputError, read
from memozy.stages import In, Out, Result


def run(config: Config, *, arms: In, decision: In, allocation: Out, personal_report: Out) -> Result:
    """Write `allocation` (JSON, see `feedback.Allocation`) and `personal_report` (HTML).

    Without a feedback log everyone is given the decision's prompt, but for the share to explore. With one, a segment
    that is shown to prefer another prompt is given that, and the value of switching is estimated off-policy; the metrics
    hold the gain (DR) where the log speaks enough of the allocation (`Support.warnings`).
    """
    templates = dict(read(arms, ARMS).select("prompt_id", "template").iter_rows())
    decided = json.loads(Path(decision).read_text(encoding="utf-8"))
    if decided["prompt_id"] not in templates:
        raise InputError("is not among the arms", file=decision, field="prompt_id", value=decided["prompt_id"],
                         remedy=f"Known prompts: {', '.join(templates)}")  # fmt: skip
    adopted = list(templates).index(decided["prompt_id"])
    log = _log(config, list(templates)) if config.feedback else None
    values = estimate(log, adopted, spread=config.spread, confidence=config.confidence) if log else None
    named = [s for s in log.segments if s is not None] if log else []
    departing = departures(values, len(named), config.confidence) if values else {}
    switch = _switch(config, log, adopted, len(named)) if log and evaluable(log.only(since_all(log))) else None

    allocated = allocate(templates, adopted, named, departing, config.exploration, config.seed)
    allocation.write_text(allocated.model_dump_json(indent=1), encoding="utf-8")
    html = page.render(config, decided, allocated, log, values, departing, switch)
    personal_report.write_text(html, encoding="utf-8")
    metrics = {"n_showings": len(log) if log else 0, "n_segments": len(named), "n_departing": len(departing)}
    if switch and not switch["support"]["personal"].warnings:
        gained = switch["estimates"]["personal", "logged"]["dr"]
        metrics |= {"gain": gained.gain, "gain_low": gained.gain_low, "gain_high": gained.gain_high}
    return Result(metrics)


def _log(config: Config, arms: list[str]) -> Log:
    events = read_events(config.feedback)
    log = make_log(outcomes(events), arms, config.min_propensity, config.seed, config.feedback)
    if not (log.arm < len(arms)).any():
        raise InputError("shows none of the prompts compared here", file=config.feedback, field="prompt_id",
                         remedy=f"It should show some of {', '.join(arms)}; or leave 'feedback' out")  # fmt: skip
    return log


def _switch(config: Config, log: Log, adopted: int, named: int) -> dict:
    """estimates: (policy, the one it replaces) -> estimator -> Estimate; support: policy -> Support; departed: how often
    each segment, by its index, departed over the folds; showings: how many evaluate, as `since_all` has it.
    """
    departed: Counter[int] = Counter()

    def choose(rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        values = estimate(log, adopted, spread=config.spread, confidence=config.confidence, rows=rows)
        shape = values.value.shape
        departing = departures(values, named, config.confidence)
        departed.update(departing.keys())
        return {
            "global": policy(*shape, adopted, {}, config.exploration),
            "personal": policy(*shape, adopted, departing, config.exploration),
        }, values.value

    policies, model = crossfit(log, choose)
    rows = since_all(log)
    log, model, policies = log.only(rows), model[rows], {name: p[rows] for name, p in policies.items()}
    everyone, personal = policies["global"], policies["personal"]
    return {
        "estimates": {
            ("global", "logged"): estimates(log, everyone, model, config.confidence),
            ("personal", "logged"): estimates(log, personal, model, config.confidence),
            ("personal", "global"): estimates(log, personal, model, config.confidence, over=everyone),
        },
        "support": {name: support(log, chances) for name, chances in policies.items()},
        "departed": departed,
        "showings": len(log),
    }
