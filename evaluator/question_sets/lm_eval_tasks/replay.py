"""lm-eval's own evaluation over answers that are there: its filters, metrics and totals, to the digit.

`Replay` is lm-eval's model: it is asked what a model was asked, and gives what that one answered.

Not here: asking (`evaluator.question_sets.lm_eval_tasks.evaluate`), what is stored
(`evaluator.question_sets.lm_eval_tasks.concluding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM

from evaluator.question_sets.lm_eval_tasks.documents import Documents, prepared, unrendered
from evaluator.question_sets.lm_eval_tasks.installed import quiet

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

Answered = Mapping[tuple[str, int], Sequence[Sequence[Any]]]
"""(task, document's number) → for each request its responses: texts, (log-likelihood, whether greedy) or numbers."""


class Replay(LM):  # type: ignore[misc, unused-ignore]
    """A model whose answers are known."""

    def __init__(self, answered: Answered, places: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self._answered, self._places = answered, places
        self._given: dict[tuple[str, int, int], int] = {}

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """(nats, whether greedy decoding gives it) of each continuation."""
        return [(float(nats), bool(greedy)) for nats, greedy in map(self._next, requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Nats of each text."""
        return [float(self._next(one)) for one in requests]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The text that answered each."""
        return [str(self._next(one)) for one in requests]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The turns as they are: the model's template was applied when it was asked."""
        return unrendered(chat_history, add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        return ""

    def _next(self, request: Instance) -> Any:
        """The next of the responses to a request that is repeated."""
        task, number, idx = str(request.task_name), int(request.doc_id or 0), int(request.idx)
        given = self._given.get((task, number, idx), 0)
        self._given[task, number, idx] = given + 1
        return self._answered[task, self._places[task][number]][idx][given]


def evaluated(of: Documents, answered: Answered) -> Mapping[str, Any]:
    """lm-eval's results over the documents that are answered, with a sample for each and each filter."""
    from lm_eval.evaluator import evaluate

    places: dict[str, list[int]] = {}
    for task, place in sorted(answered):
        places.setdefault(task, []).append(place)
    tasks = {name: prepared(task, of.manner) for name, task in of.tasks.tasks.items() if name in places}
    whole = all(len(task.eval_docs) == len(places.get(name, ())) for name, task in of.tasks.tasks.items())
    told = {"tasks": tasks, **({"groups": dict(of.tasks.groups)} if whole else {})}
    with quiet():
        found: Mapping[str, Any] = evaluate(
            Replay(answered, places), told, samples=places, bootstrap_iters=0, log_samples=True,
            system_instruction=of.manner.system or None, apply_chat_template=of.manner.chat,
            fewshot_as_multiturn=of.manner.chat,
        )  # fmt: skip
    return found
