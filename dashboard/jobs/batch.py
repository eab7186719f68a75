"""A prompt set put to many models: a job of its own process, over HTTP, kept as evaluations of the benchmark `prompts`.

Killed and started again, it goes on at the first prompt without an answer.

Try: python -m dashboard.jobs.batch REQUEST.json
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from dashboard.chat.client import Answer, Sampling, Snapshot
from results import Evaluation, Outcome, Score, Store, Workspace, digest, this_machine

BENCHMARK = "prompts"


@dataclass(frozen=True)
class Request:
    """What to run."""

    name: str
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    """Names, as the model server and the store know them."""
    sampling: Sampling
    system: str = ""

    def write(self, path: Path) -> None:
        """Write the request as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Request:
        """The request that a JSON file holds."""
        found = json.loads(path.read_text(encoding="utf-8"))
        sampling = Sampling(**found.pop("sampling"))
        return cls(found["name"], tuple(found["prompts"]), tuple(found["models"]), sampling, found["system"])

    def settings(self) -> dict[str, object]:
        """The evaluation's: two runs of the same set are the same measurement."""
        return {
            "set": self.name,
            "prompts": digest(list(self.prompts))[:12],
            "system": self.system,
            **asdict(self.sampling),
        }


def run(request: Request, store: Store) -> None:
    """Put every prompt to every model, one model after the other, so that each is loaded once."""
    machine = this_machine()
    store.machines.add(machine)
    for name in request.models:
        model = store.models.find(name)
        identity = digest([model.id, BENCHMARK, request.settings(), machine.id])[:16]
        begun = store.evaluations.begin(
            Evaluation(
                identity, model.id, BENCHMARK, request.settings(), machine.id, subset=f"{len(request.prompts)} prompts"
            )
        )
        if begun.status == "finished":
            print(f"{name}: answered before", flush=True)
            continue
        there = {outcome.item for outcome in store.evaluations.outcomes(begun.id)}
        for number, prompt in enumerate(request.prompts):
            item = f"{number + 1:04d}"
            if item in there:
                continue
            shot = answered(name, prompt, request)
            if shot.state != "finished":
                store.evaluations.fail(begun.id, shot.message or shot.state)
                raise SystemExit(f"{name}, prompt {number + 1}: {shot.message or shot.state}. Start it again to go on")
            store.evaluations.add_outcomes(begun.id, [outcome(item, prompt, shot)])
            print(f"{name}: {number + 1} of {len(request.prompts)}", flush=True)
        done = store.evaluations.outcomes(begun.id)
        tokens = sum(float(one.details["tokens"]) for one in done) / max(len(done), 1)
        store.evaluations.finish(begun.id, [Score("answer_tokens_mean", tokens, None, None, len(done))])


def answered(model: str, prompt: str, request: Request) -> Snapshot:
    """One answer, waited for."""
    messages = [{"role": "system", "content": request.system}] if request.system.strip() else []
    answer = Answer(model, [*messages, {"role": "user", "content": prompt}], request.sampling).start()
    while answer.active:
        answer.snapshot()  # looking keeps it alive
        time.sleep(0.02)
    return answer.snapshot()


def outcome(item: str, prompt: str, shot: Snapshot) -> Outcome:
    """An answer as an item of the evaluation."""
    details = {
        "prompt": prompt,
        "answer": shot.text,
        "tokens": shot.tokens,
        "ttft_seconds": shot.ttft_seconds,
        "tokens_per_second": shot.tokens_per_second,
        "total_seconds": shot.waited_seconds,
        "finish_reason": shot.finish_reason,
        "identity": shot.identity,
    }
    return Outcome(item, value=shot.waited_seconds, details=details)


if __name__ == "__main__":
    run(Request.read(Path(sys.argv[1])), Workspace.open().store())
