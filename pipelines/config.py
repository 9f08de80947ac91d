"""A run's configuration: one section per stage, each of the stage's own Config type, and what they share.

Every error is found here, before anything heavy is loaded, and is one line (`InputError`).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from components.auto_rate.config import Config as Surrogates
from components.check_feedback.config import Config as Feedback
from components.evaluate_prompts.config import Config as Evaluation
from components.generate_diaries.config import Config as Diaries
from components.import_ratings.config import Config as Ratings
from components.oversample.config import Config as Oversample
from components.personalize_prompts.config import Config as Personal
from components.propose_prompts.config import Config as Proposals
from components.register_models.config import Config as Registration
from components.reveal_truth.config import Config as Truth
from components.sample_and_filter.config import Config as Sampling
from components.split_data.config import Config as Split
from components.train_dpo.config import Config as DPO
from components.train_ppo.config import Config as PPO
from components.train_reward.config import Config as Reward
from components.train_sft.config import Config as SFT
from components.validate_data.config import Config as Validation
from components.write_report.config import Config as Report
from memozy.environments.config import EnvironmentConfig
from memozy.llm import LLMConfig
from memozy.records import SIMULATED, InputError
from memozy.stages import config_error, config_files, parse_yaml, read_yaml

SHARED = ("seed", "llm", "environment")  # every section that has such a key takes it from here, unless it says otherwise;
# `feedback` looks for what is new where `ratings` takes it from (its path, its store, SAME), unless it says otherwise;
# and a section of STEPS is enabled where the recipe names it
SAME = ("scale", "allowed_hosts")
STEPS = ("sampling", "sft", "dpo", "ppo")  # the ways to train a policy, in the order in which they are taken


class RunConfig(BaseModel):
    """What a person writes in `configs/*.yaml`. Defaults are the stages' own.

    recipe: how the policy is trained. [sft, ppo] is InstructGPT's way; [sampling, sft] teaches it the best of its own
    answers; [sampling, dpo] to prefer them to its worst. Without any it stays what its base is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    llm: LLMConfig = LLMConfig()
    environment: EnvironmentConfig = EnvironmentConfig()
    recipe: tuple[Literal["sampling", "sft", "dpo", "ppo"], ...] = ("sft", "ppo")
    diaries: Diaries = Diaries()
    ratings: Ratings = Ratings()
    surrogates: Surrogates = Surrogates()
    validation: Validation = Validation()
    split: Split = Split()
    oversample: Oversample = Oversample()
    reward: Reward = Reward()
    sampling: Sampling = Sampling(enabled=False)
    sft: SFT = SFT()
    dpo: DPO = DPO(enabled=False)
    ppo: PPO = PPO()
    proposals: Proposals = Proposals()
    evaluation: Evaluation = Evaluation()
    personal: Personal = Personal()
    truth: Truth = Truth()
    registration: Registration = Registration()
    feedback: Feedback = Feedback(ratings=Ratings().path)
    report: Report = Report()

    @model_validator(mode="before")
    @classmethod
    def _share(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        shared = {name: {key: values[key] for key in SHARED if key in values} for name in sections()}
        recipe = values.get("recipe", cls.model_fields["recipe"].default)
        for step in STEPS:
            shared[step]["enabled"] = isinstance(recipe, list | tuple) and step in recipe
        ratings = values["ratings"] if isinstance(values.get("ratings"), dict) else {}
        shared["feedback"] |= {key: ratings[key] for key in SAME if key in ratings}
        shared["feedback"] |= {"ratings": ratings.get("path", Ratings().path), "store": bool(ratings.get("store"))}
        filled = dict(values)
        for name in sections():
            section = filled.get(name)
            if section is None or isinstance(section, dict):
                known = cls.model_fields[name].annotation.model_fields
                filled[name] = _merged({k: v for k, v in shared[name].items() if k in known}, section or {})
        return filled

    @model_validator(mode="after")
    def _pairs_come_from_somewhere(self):
        if self.dpo.enabled and self.dpo.source == "sampled" and not self.sampling.enabled:
            raise ValueError("dpo.source 'sampled' needs 'sampling' in the recipe; or take another source")
        return self

    def arguments(self) -> dict[str, dict]:
        """One complete dict per section: what the pipelines' parameters of the same names take.

        KFP can't pass a null, so a key that is null is left out. Raises InputError where that would change it.
        """
        found = {}
        for name in sections():
            section = getattr(self, name)
            found[name] = section.model_dump(mode="json", exclude_none=True)
            if type(section).model_validate(found[name]) != section:
                raise InputError("holds a null where the default is another value", field=name, remedy="Give a value")
        return found

    def text(self) -> str:
        """The whole configuration as YAML, what the sections share said once; reading it back gives this again."""
        values = self.model_dump(mode="json")
        for name in sections():
            values[name] = {k: v for k, v in values[name].items() if k not in SHARED or v != values[k]}
        for step in STEPS:
            if values[step]["enabled"] == (step in self.recipe):
                del values[step]["enabled"]
        return yaml.safe_dump(values, allow_unicode=True, sort_keys=False)


def sections() -> list[str]:
    return [name for name in RunConfig.model_fields if name not in (*SHARED, "recipe")]


def load(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML file and apply `a.b=c` overrides (c is YAML). Raises InputError."""
    values = read_yaml(Path(path))
    for override in overrides:
        _set(values, override)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise config_error(error, RunConfig, str(path)) from None
    return config


def check_files(config: RunConfig, names: Iterable[str]) -> None:
    """Raise InputError for a file that one of the sections `names` needs and that isn't there."""
    for name in names:
        if not getattr(getattr(config, name), "enabled", True):
            continue
        for key, value in config_files(getattr(config, name), required=True).items():
            if name == "feedback" and value == SIMULATED:
                raise InputError("new ratings cannot be counted in simulated raters", field="feedback.ratings", value=value,
                                 remedy="Give ratings.path a file")  # fmt: skip
            if value != SIMULATED and "://" not in value and not os.path.exists(value):  # of a name no file can have, too
                raise InputError("no such file", file=value, field=f"{name}.{key}",
                                 remedy="Paths count from where you are; `dvc pull` fetches data/")  # fmt: skip


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merged(base[k], v) for k, v in own.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return base | own | both


def _set(values: dict[str, Any], override: str) -> None:
    """Put one `a.b=c` into the nested settings."""
    name, equals, text = override.partition("=")
    *parents, last = name.split(".")
    if not equals or not all([*parents, last]):
        raise InputError("is not an override", file="--set", value=override, remedy="Write section.key=value")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError:
        raise InputError("the value is not YAML", file="--set", value=override, remedy="Quote it") from None
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise InputError("has no keys below it", file="--set", field=parent, value=override)
    values[last] = value
