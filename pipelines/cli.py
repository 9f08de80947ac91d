"""The command `memozy`. kfp, mlflow and the stages are imported only by the commands that need them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from memozy.records import InputError
from pipelines.catalog import PIPELINES
from pipelines.commands import data, feedback, ratings
from pipelines.terminal import EXITS, plain_errors

_NAMES = "\n\n".join(f"{name}: {what}" for name, what in PIPELINES.items())

app = typer.Typer(
    help="Improve the prompt of a photo-diary LLM from human ratings.\n\nStart with: memozy run optimize_prompt --config configs/demo.yaml",
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(ratings.app, name="ratings")
app.command(epilog=EXITS)(ratings.rate)
app.add_typer(feedback.app, name="feedback")
app.add_typer(data.app, name="data")


@app.command(epilog=f"Pipelines:\n\n{_NAMES}\n\n{EXITS}")
def run(
    pipeline: Annotated[str, typer.Argument(help="Which pipeline, see below.", show_default=False)],
    config: Annotated[Path, typer.Option(help="Run configuration, YAML.", show_default=False)],
    overrides: Annotated[
        list[str], typer.Option("--set", metavar="a.b=c", help="Override one setting; may be repeated.")
    ] = [],
    name: Annotated[
        str | None, typer.Option(help="The run's name and its folder under runs/. Default: the config file's name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the run may cost, and stop.")] = False,
) -> None:
    """Run a pipeline on this machine. Started again under the same name, it continues where it was."""
    name = name or config.stem
    with plain_errors(f"runs/{name}/log.txt"):
        _known(pipeline)
        from pipelines.config import load

        settings = load(config, overrides)
        if dry_run:
            from pipelines import catalog, estimate
            from pipelines.config import check_files

            taken = catalog.sections(catalog.load(pipeline))
            sections = [name for name in settings.arguments() if name in taken]
            check_files(settings, sections)
            print("\n".join(estimate.lines(settings, sections)))
            return
        from pipelines import runner

        try:
            runner.run(pipeline, settings, name)
        except KeyboardInterrupt:
            again = " ".join(f"--set {o}" for o in overrides)
            print(f"\ninterrupted. Finished stages are kept; go on with:\n  memozy run {pipeline} --config {config}"
                  f"{' ' * bool(again)}{again} --name {name}", file=sys.stderr)  # fmt: skip
            raise typer.Exit(130) from None


@app.command(name="compile", epilog=EXITS)
def compile_(
    pipeline: Annotated[str | None, typer.Argument(help="Which pipeline. Default: all.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(help="Folder for the IR YAML files.")] = Path("compiled"),
) -> None:
    """Compile pipelines to what a Kubeflow cluster takes. A run's settings are the pipeline's parameters."""
    with plain_errors():
        from pipelines.catalog import compile_pipeline

        for name in [_known(pipeline)] if pipeline else PIPELINES:
            compile_pipeline(name, out / f"{name}.yaml")
            print(out / f"{name}.yaml")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def plan(context: typer.Context) -> None:
    """What an evaluation will take, before any of it is paid for: memozy plan --help tells what it asks."""
    with plain_errors():
        import argparse

        from pydantic import ValidationError

        from components.evaluate_prompts.plan import Question, evaluations, lines
        from components.evaluate_prompts.plan import plan as answer
        from memozy.stages import Progress, config_error

        parser = argparse.ArgumentParser(prog="memozy plan", description="Ratings and money that a decision takes, by simulating it.")
        for name, about in Question.model_fields.items():
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", default=about.default,
                                help=f"{about.description or name.replace('_', ' ')} (default {about.default})".replace("%", "%%"))  # fmt: skip
        try:
            question = Question.model_validate(vars(parser.parse_args(context.args)))
        except ValidationError as error:
            raise config_error(error, Question, "memozy plan") from None
        progress = Progress("plan", evaluations(question), "simulated evaluations")
        print("\n".join(lines(answer(question, progress.advance))))


@app.command(name="verify-decision", epilog="Exit codes: 0 borne out, 1 not, 2 bad input.")
def verify_decision(
    folder: Annotated[
        Path, typer.Argument(help="A run's folder (runs/<name>), or one that holds `pulls` and `decision`.")
    ],
) -> None:
    """Decide again from an evaluation's pulls alone, and compare with every figure of its adoption record."""
    with plain_errors():
        import json

        from components.evaluate_prompts.verify import differences
        from memozy.records import PULLS, read

        outputs = folder / "stages/evaluate_prompts/out"
        place = outputs if outputs.is_dir() else folder
        if not (place / "decision").is_file():
            raise InputError("holds no decision", file=place, remedy="Give a run's folder, or that of the evaluation's outputs")
        try:
            record = json.loads((place / "decision").read_text(encoding="utf-8"))
        except ValueError:
            raise InputError("is not JSON", file=place / "decision", remedy="Give it as the evaluation wrote it") from None
        pulls = read(place / "pulls", PULLS)
        found = differences(pulls, record)
        for line in found:
            print(line)
        print(f"{record['sentence']}\n{'NOT borne out' if found else 'Borne out'} by {len(pulls)} rows of {place / 'pulls'}.")
        if found:
            raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def stages(
    context: typer.Context,
    stage: Annotated[str | None, typer.Argument(help="The stage to run; without one they are listed.")] = None,
) -> None:
    """List the stages, or run one alone on files: memozy stages STAGE --help tells what it takes."""
    import ast

    from memozy.stages import main as run_stage

    folder = Path(__file__).resolve().parent.parent / "components"
    known = sorted(path.parent.name for path in folder.glob("*/stage.py"))
    if stage is None or stage in ("--help", "-h"):
        for name in known:
            module = ast.parse(
                (folder / name / "stage.py").read_text(encoding="utf-8")
            )  # read, not imported: torch takes seconds
            [function] = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "run"]
            print(f"{name:<18} {(ast.get_docstring(function) or '').splitlines()[0]}")
        print("\nRun one alone: memozy stages STAGE --help")
        return
    with plain_errors():
        run_stage(_choice("STAGE", stage, known), context.args)


def _known(pipeline: str) -> str:
    return _choice("PIPELINE", pipeline, PIPELINES)


def _choice(what: str, value: str, known) -> str:
    if value not in known:
        raise InputError("is not known", field=what, value=value, remedy=f"Known: {', '.join(known)}")
    return value


def main() -> None:
    app()


if __name__ == "__main__":
    main()
