"""`memozy ratings`, and `memozy rate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.terminal import EXITS, plain_errors

app = typer.Typer(help="Get ratings: sheets to fill in, a page to rate on.", epilog=EXITS, no_args_is_help=True, rich_markup_mode=None)

Diaries = Annotated[Path, typer.Argument(help="Diaries: a table (JSONL, CSV, XLSX, Parquet) or a run's artifact.", show_default=False)]
Contexts = Annotated[Path | None, typer.Option(help="A table with place, people, mood, photo and image_path of each context_id.", show_default=False)]
Double = Annotated[float, typer.Option(min=0, max=1, help="The share that two people rate, so that their agreement can be told.")]
Seed = Annotated[int, typer.Option(help="Draws orders, and what is rated twice.")]


@app.callback()
def group() -> None:
    """Get ratings: sheets to fill in, a page to rate on."""


@app.command(epilog=EXITS)
def template(
    diaries: Diaries,
    out: Annotated[Path, typer.Option(help="The sheet, CSV or XLSX; with several raters <out>-<rater> for each.", show_default=False)],
    contexts: Contexts = None,
    raters: Annotated[str, typer.Option(metavar="A,B", help="Who rates. Default: one sheet for someone unnamed.")] = "",
    double: Double = 0.15,
    seed: Seed = 0,
) -> None:
    """Write sheets to send to raters: shuffled, and nothing in them tells which prompt or model wrote a diary."""
    with plain_errors():
        from annotation import items, sheet

        found = items.read(diaries, contexts)
        names = [name.strip() for name in raters.split(",")] if raters else []
        for path in sheet.write(found, out, names, double, seed):
            print(path)


def rate(
    diaries: Diaries,
    contexts: Contexts = None,
    mode: Annotated[Literal["rate", "rank"], typer.Option(help="Rate each diary, or rank the diaries of each context.")] = "rate",
    out: Annotated[Path | None, typer.Option(help="Where answers go, JSONL. Default: ratings.jsonl, or rankings.jsonl.", show_default=False)] = None,
    rater: Annotated[str | None, typer.Option(help="Who rates; else the page asks.", show_default=False)] = None,
    double: Double = 0.15,
    seed: Seed = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    lang: Annotated[Literal["ko", "en"] | None, typer.Option(help="The page's language. Default: the browser's.", show_default=False)] = None,
) -> None:
    """Rate diaries in the browser, on this machine. Every answer is on disk at once; start again to go on."""
    with plain_errors():
        from annotation import items
        from annotation.answers import Answers
        from annotation.server import Server
        from annotation.tasks import Rank, Rate
        from memozy.records import InputError

        if rater is not None and items.name_fault(rater):
            raise InputError(items.name_fault(rater), field="--rater", value=rater, remedy="Give a name like kim")
        task, name, what = (Rate, "ratings", "diaries") if mode == "rate" else (Rank, "rankings", "contexts with outputs to rank")
        found, alone = items.read(diaries, contexts), 0
        if mode == "rank":
            found, alone = items.to_rank(found, seed)
            if not found:
                raise InputError("has no two different diaries of one context", file=diaries, field="context_id", remedy="Ranking needs two or more")
        answers = Answers(out or Path(f"{name}.jsonl"), task.fault)
        had = len(answers.rows)
        server = Server(task(found, answers, double, seed), mode, port=port, rater=rater, lang=lang)
        print(f"{len(found)} {what}" + (f", {alone} left out: nothing to compare" if alone else ""))
        print(f"answers go to {answers.path}" + (f", which has {had}" if had else ""))
        print(f"open {server.url}\nCtrl+C ends it; nothing is lost", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.lock.acquire()  # an answer that is being written is written
            print(f"\n{len(answers.rows)} {name} in {answers.path}")
