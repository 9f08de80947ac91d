"""The decision in a few plain lines, for the terminal and for the head of the page."""

from collections.abc import Mapping

from memozy.reports import money, number, percent

VERDICTS = {"adopt": "Adopted", "keep": "Kept", "undecided": "Undecided"}


def summary(decision: Mapping, truth: Mapping, version: Mapping, registered: Mapping, report_path: object) -> str:
    """What was decided, how sure that is, each arm's estimate, whether the truth agrees, and where to read on."""
    best = in_front(decision)
    true_means = {arm["prompt_id"]: arm["true_mean"] for arm in truth.get("arms", [])}
    lines = [
        f"Decision: {decision['sentence']}",
        f"{assurance(decision)}; {effort(decision)}.",
        f"The evaluation cost {money(decision['cost_usd'])}.",
    ]
    width = max((len(arm["prompt_id"]) for arm in decision["arms"]), default=0)
    for arm in decision["arms"]:
        line = f"  {'→' if arm['prompt_id'] == best else ' '} {arm['prompt_id']:<{width}}  {number(arm['estimate']):>5}"
        line += f"  [{number(arm['low']):>5}, {number(arm['high']):>5}]  {number(arm['n_ratings'])} ratings"
        line += f", truth {number(true_means[arm['prompt_id']])}" if arm["prompt_id"] in true_means else ""
        lines.append(line + (" (incumbent)" if arm["prompt_id"] == decision["incumbent"] else ""))
    lines.append(agreement(decision, truth))
    if simulated := what_is_simulated(decision, version):
        lines.append(simulated)
    versions = ", ".join(f"{name} v{n}" for name, n in candidates(registered).items())
    lines.append(f"Candidates for review: {versions}." if versions else "Nothing was registered for review.")
    lines += [f"Not registered: {name}, {reason}." for name, reason in registered.get("skipped", {}).items()]
    lines.append(f"Report: {report_path}")
    return "\n".join("".join(c for c in line if c.isprintable()) for line in lines)  # no terminal escapes from data


def in_front(decision: Mapping) -> str:
    """The prompt that was adopted or kept; while undecided the one that leads."""
    return decision.get("leader") or decision["prompt_id"]


def assurance(decision: Mapping) -> str:
    """With which confidence and margin it was decided; rule "classic" states none."""
    if decision["confidence"] is None:
        return "No confidence is stated"
    return f"Confidence {percent(decision['confidence'])}, margin {number(decision['epsilon'])}"


def candidates(registered: Mapping) -> dict[str, str]:
    """The registered models and prompts with their versions."""
    return {name: version for name, version in registered.items() if name not in ("skipped", "tracking_uri")}


def effort(decision: Mapping) -> str:
    """How many ratings the decision used and, while it is open, how many it may still need."""
    kind = "simulated" if decision["simulated"] else "human"
    used = f"{number(decision['ratings_used'])} {kind} ratings used"
    needed = decision["ratings_needed"]
    return f"{used}, about {number(needed)} more needed" if needed else used


def agreement(decision: Mapping, truth: Mapping) -> str:
    """Whether the micro-world's truth agrees with the decision; or that no truth is known."""
    if not truth:
        return "The arms' true means are not known: only a simulated world can reveal them."
    verdict = "agrees" if truth["agrees"] else "disagrees"
    if truth["best"] == decision["prompt_id"]:
        return f"The micro-world's truth {verdict}: {truth['best']} is truly the best of these prompts."
    return (
        f"The micro-world's truth {verdict}: {truth['best']} is truly the best, "
        f"{number(truth['gap'], 3)} above {decision['prompt_id']} (margin {number(decision['epsilon'])})."
    )


def what_is_simulated(decision: Mapping, version: Mapping) -> str:
    """One sentence that names the simulated ratings, or nothing where people gave all of them."""
    if version["simulated"] and decision["simulated"]:
        return "Simulated: the ratings and raters here are simulated. No person judged a diary."
    if version["simulated"]:
        return "Simulated: the ratings the reward model learned from are simulated."
    if decision["simulated"]:
        return "Simulated: the raters who decided between the prompts are simulated."
    return ""
