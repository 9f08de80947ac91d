"""The page on a run's proposals: who wrote prompts, how many were of use, how they score, which go on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from memozy import reports
from memozy.reports import drawing, number


def render(told: Mapping, arms: Sequence[Mapping], task: str | None) -> str:
    """One self-contained HTML page.

    told: what the stage writes as `writers`. arms: rows of ARMS, the incumbent first. task: what the writers were
    asked, None without any.
    """
    rows = told["sources"]
    words = "; ".join(f"{row['source']}: {spread(row['score'])}" for row in rows)
    label = f"Scores of every source's prompts, and their mean. {words}. The incumbent: {number(told['incumbent'])}."
    with reports.style():
        figure = reports.svg(draw(rows, told["incumbent"]), "scores", label)
    return reports.page(Path(__file__).with_name("proposals.html.j2"), told=told, arms=arms, task=task, figure=figure,
                        sentence=sentence(rows, told["incumbent"]), spread=spread)  # fmt: skip


def sentence(rows: Sequence[Mapping], incumbent: float) -> str:
    """Whose prompts score best, where its interval lies above all others', and how they stand to the incumbent's score."""
    scored = sorted((row for row in rows if row["score"][0] is not None), key=lambda row: -row["score"][0])
    if not scored:
        return "No source wrote a prompt that could be used."
    best, *others = scored
    mean, low, high = best["score"]
    if others and (low is None or any(row["score"][2] is None or row["score"][2] >= low for row in others)):
        return (f"No source is shown to write the best prompts: mean scores of {number(others[-1]['score'][0])} to "
                f"{number(mean)}, the incumbent's is {number(incumbent)}.")  # fmt: skip
    if low is None:
        against = "of one prompt, against the incumbent's"
    elif low <= incumbent <= high:
        against = "not told apart from the incumbent's"
    else:
        against = f"{'above' if low > incumbent else 'below'} the incumbent's"
    lead = "Prompts of {} score best on average" if others else "Only prompts of {} can be used; their mean score"
    return f"{lead.format(best['source'])}: {number(mean)}, {against} {number(incumbent)}."


def spread(score: Sequence[float | None]) -> str:
    """[0.2, 0.1, 0.3] → "0.20 (0.10 to 0.30)"; the mean alone where there are no bounds."""
    mean, low, high = score
    return number(mean) + ("" if low is None else f" ({number(low)} to {number(high)})")


def draw(rows: Sequence[Mapping], incumbent: float) -> Figure:
    """Each source's mean with its interval, the incumbent's score as a line, and above them every prompt's as a grey dot."""
    means = [row["score"] if row["prompts"] else None for row in rows]
    figure = drawing.intervals([row["source"] for row in rows], {"mean": means}, "score of the reward model",
                               {"the incumbent": incumbent})  # fmt: skip
    for y, row in enumerate(rows):
        scores = [prompt["score"] for prompt in row["prompts"]]
        figure.axes[0].scatter(scores, [y - 0.28] * len(scores), s=16, color=drawing.MUTED, alpha=0.55, linewidth=0)
    return figure
