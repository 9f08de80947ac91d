"""What a run may cost before it is started: the calls each stage can make, and the most that they can come to.

The number of calls follows from the settings. A prompt is taken to be as long as the longest of the known prompts on
the longest context, one that a policy or a writer makes to be twice that; a token is taken to hold one byte, as in the
ledger's reservations, and every answer to have its full length. So this is a ceiling, usually several times the bill;
what stops a run for certain is `llm.budget_usd`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.generate_diaries.config import PHOTO_SUFFIXES
from memozy import rating_files
from memozy.environments.config import EnvironmentConfig
from memozy.environments.hygiene import LONGEST
from memozy.llm import LLMConfig, Request
from memozy.qna import QNA_SLOTS, fill_question, read_questions
from memozy.records import ARMS, RATING_LEVELS, SIMULATED, fill, read_contexts, read_jsonl
from memozy.reports import money
from pipelines.config import RunConfig

EXAMPLE_BYTES = 600  # of a rated diary shown to a judge or a writer


@dataclass(frozen=True)
class Calls:
    """`n` calls of one model by one section, none with a longer prompt than `request`."""

    section: str
    what: str
    llm: LLMConfig
    n: int
    request: Request

    @property
    def usd(self) -> float:
        """US dollars at most."""
        return self.n * self.llm.worst_usd([self.request])


def calls(config: RunConfig, sections: Iterable[str]) -> list[Calls]:
    """The calls that a run of these sections can make, in the order of its stages. Raises InputError for an unreadable file."""
    known = {"diaries": _diaries, "reward": _reward, "sampling": _sampling, "ppo": _ppo, "proposals": _proposals,
             "evaluation": _evaluation, "truth": _truth}  # fmt: skip
    wanted = set(sections)
    return [line for name, stage in known.items() if name in wanted for line in stage(config) if line.n]


def lines(config: RunConfig, sections: Iterable[str]) -> list[str]:
    """The estimate as a person reads it."""
    found = calls(config, sections)
    told = [f"  {c.section:<11} {c.n:>8,} calls of {c.llm.model}: {c.what}, {money(c.usd)}" for c in found]
    budgets = [c.llm.budget_usd for c in found if c.llm.budget_usd is not None and c.usd]
    total = sum(c.usd for c in found)
    told = ["Calls that this run can make, and what they cost at most:", *told, f"Together at most {money(total)}."]
    if budgets:
        least = min(budgets)
        more = " The run may stop there; with a higher one it goes on, and nothing is paid twice." if total > least else ""
        told.append(f"The budget is {money(least)}.{more}")
    return told


def _diaries(config: RunConfig) -> list[Calls]:
    c = config.diaries
    image = Path(c.photos or c.contexts) if c.send_images else None
    request = Request(_longest_prompt(config), image)
    return [Calls("diaries", "diaries to rate, each asked for twice at most", c.llm, 2 * _written(config), request)]


def _written(config: RunConfig) -> int:
    """How many diaries are written to be rated."""
    c = config.diaries
    n = c.n_contexts
    if c.photos is not None:
        n = c.per_photo * sum(p.suffix.lower() in PHOTO_SUFFIXES for p in Path(c.photos).rglob("*"))
    return n * c.per_context


def _reward(config: RunConfig) -> list[Calls]:
    c = config.ratings
    n = _written(config) if c.path == SIMULATED else rating_files.read(c.path, allowed_hosts=c.allowed_hosts).n_rows
    return _grades(config, "reward", n)


def _grades(config: RunConfig, section: str, n: int) -> list[Calls]:
    """Where a judge is among the reward model's candidates, it may come to grade every diary that is scored."""
    c = config.reward
    if "judge" not in c.candidates:
        return []
    request = _judged(c.llm, config.llm, len(RATING_LEVELS) * c.examples_per_level)
    what = "grades, each asked for twice at most" + (", if the judge is part of the reward model" if section != "reward" else "")
    return [Calls(section, what, c.llm, 2 * n, request)]


def _sampling(config: RunConfig) -> list[Calls]:
    c = config.sampling
    return _tried(config, "sampling", c.n_queries * c.samples) if c.enabled else []


def _ppo(config: RunConfig) -> list[Calls]:
    c = config.ppo
    return _tried(config, "ppo", c.updates * c.rollouts + 2 * c.compared) if c.enabled else []


def _tried(config: RunConfig, section: str, responses: int) -> list[Calls]:
    """The calls that it takes to score so many of a policy's responses."""
    c, environment = getattr(config, section), getattr(config, section).environment
    n = responses * environment.inputs_per_prompt
    if environment.task == "prompt/qna":  # a model in this process is never made to write an answer
        return [Calls(section, "answers by the policy's prompts", c.llm, n, _asked(environment))] * (c.llm.backend != "local")
    if environment.task == "response/diary":
        return _grades(config, section, responses)
    return [Calls(section, "diaries by the policy's prompts", c.llm, n, _new(config)), *_grades(config, section, n)]


def _proposals(config: RunConfig) -> list[Calls]:
    c = config.proposals
    shown = Request("가" * (2 * c.examples_per_side * EXAMPLE_BYTES // 3) + 2 * _longest_prompt(config))
    told = [Calls("proposals", f"prompts by {w.name}", w.llm, w.candidates, shown) for w in c.writers]
    n = (2 * c.candidates + sum(w.candidates for w in c.writers) + 1) * c.contexts_per_prompt
    written = Calls("proposals", "diaries by the prompts proposed", c.llm, n, _new(config))
    return [*told, written, *_grades(config, "proposals", n)]


def _evaluation(config: RunConfig) -> list[Calls]:
    c = config.evaluation
    if c.scorer == "feedback":
        return []
    a_look = c.ratings_per_look if c.scorer == "human" else c.pulls_per_look
    pulls = a_look * (1 if c.rule == "classic" else c.looks)
    pulls = min(pulls, (4 + len(config.proposals.writers)) * c.n_contexts)
    told = [Calls("evaluation", "diaries compared", c.llm, pulls, _new(config))]
    if c.judge is not None:
        request = _judged(c.judge, c.llm, len(RATING_LEVELS) * c.examples_per_level)
        told.append(Calls("evaluation", "grades, each asked for twice at most", c.judge, 2 * pulls, request))
    return told + (_grades(config, "evaluation", pulls) if c.scorer == "reward" else [])


def _truth(config: RunConfig) -> list[Calls]:
    c = config.truth
    if not c.diaries_per_arm:
        return []
    n = c.diaries_per_arm * (4 + len(config.proposals.writers)) + 2 * c.policy_prompts * c.contexts_per_prompt
    return [Calls("truth", "diaries in the micro-world", c.llm, n, _new(config))]


def _longest_prompt(config: RunConfig) -> str:
    """The longest of the known prompts, on the longest context."""
    templates = read_jsonl(config.diaries.prompts, ARMS)["template"].to_list()
    contexts = read_contexts(config.diaries.contexts, config.diaries.n_contexts).to_dicts()
    return max((fill(t, c) for t in templates for c in contexts), key=lambda prompt: len(prompt.encode()))


def _new(config: RunConfig) -> Request:
    return Request(2 * _longest_prompt(config))


def _asked(environment: EnvironmentConfig) -> Request:
    """The longest question, in a prompt of the longest template that is not refused."""
    template = "가" * LONGEST + "".join(f"{{{slot}}}" for slot in QNA_SLOTS)
    filled = (fill_question(template, q) for q in read_questions(environment.questions, environment.n_questions))
    return Request(max(filled, key=lambda prompt: len(prompt.encode())))


def _judged(judge: LLMConfig, writer: LLMConfig, n_examples: int) -> Request:
    """What a judge is asked at most: a syllable has three bytes, and a token of a diary about one syllable."""
    from memozy.reward.judge import RUBRIC, SCHEMA, Judge

    shown = "가" * (n_examples * EXAMPLE_BYTES // 3)
    return Request(Judge(judge, RUBRIC, ()).prompt(shown + "가" * writer.max_new_tokens), schema=SCHEMA)
