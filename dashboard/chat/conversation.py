"""A conversation held with several models at once: one list of prompts, an answer a pane and prompt. Draws nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from uuid import uuid4

from dashboard.chat.client import Answer, Sampling, Snapshot
from results.records import Vote, Winner, now

EXAMPLES = (
    "Write a Python function that checks whether a string is a palindrome.",
    "Write a Python function that returns the n-th Fibonacci number without recursion.",
    "Explain the Pythagorean theorem.",
    "Why is the sky blue?",
    "What is the meaning of life?",
)
"""The kinds of prompt of Studies B and D."""

MOST_PANES = 6
TITLE = 48
"""Characters of a first prompt that a conversation is called by."""


@dataclass(frozen=True)
class Pane:
    """Who answers in a pane, and how."""

    model: str
    sampling: Sampling


@dataclass
class Turn:
    """A prompt and its answers by pane number."""

    prompt: str
    answers: dict[int, Answer] = field(default_factory=dict)
    voted: bool = False


class Conversation:
    """One visitor's, never shared. `dashboard.chat.shelf` keeps it on the disk."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.system = ""
        self.id = self.owner = self.title = ""
        self.begun_at = now().isoformat()
        self.unkept = ""
        """Why it could not be written down; empty while it is."""
        self.kept: Callable[[], object] = bool
        """Writes it down: called when something was asked and when an answer has ended."""
        self.writing = threading.Lock()

    @property
    def name(self) -> str:
        """Its title, else how its first prompt begins."""
        first = " ".join(self.turns[0].prompt.split()) if self.turns else ""
        return self.title or (first if len(first) <= TITLE else first[: TITLE - 1] + "…")

    @property
    def models(self) -> list[str]:
        """Who answered last, by pane."""
        return [answer.model for _, answer in sorted(self.turns[-1].answers.items())] if self.turns else []

    @property
    def active(self) -> bool:
        """Whether any pane is being written or waited for."""
        return any(answer.active for turn in self.turns for answer in turn.answers.values())

    def ask(self, prompt: str, panes: Sequence[Pane]) -> None:
        """Put a prompt to every pane at once."""
        self.turns.append(Turn(prompt))
        for number in range(len(panes)):
            self._answer(number, panes)
        self.kept()

    def again(self, number: int, panes: Sequence[Pane]) -> None:
        """Answer the last prompt anew in one pane, with whoever sits there now."""
        self._answer(number, panes)
        self.kept()

    def _answer(self, number: int, panes: Sequence[Pane]) -> None:
        turn, pane = self.turns[-1], panes[number]
        if number in turn.answers:
            turn.answers[number].stop()
        made = Answer(pane.model, self.messages(number), pane.sampling, lambda: self.kept())
        turn.answers[number] = made.start()

    def resend(self, position: int, prompt: str, panes: Sequence[Pane]) -> None:
        """Change an earlier prompt: what came after it is forgotten."""
        for turn in self.turns[position:]:
            for answer in turn.answers.values():
                answer.stop()
        del self.turns[position:]
        self.ask(prompt, panes)

    def stop(self) -> None:
        """Stop every pane."""
        for turn in self.turns:
            for answer in turn.answers.values():
                answer.stop()

    def messages(self, number: int) -> list[dict[str, str]]:
        """A pane's own history, up to the last prompt; turns that this pane said nothing in are none of it."""
        found = [{"role": "system", "content": self.system}] if self.system.strip() else []
        for turn in self.turns[:-1]:
            said = turn.answers[number].snapshot().text if number in turn.answers else ""
            if said.strip():
                found.append({"role": "user", "content": turn.prompt})
                found.append({"role": "assistant", "content": said})
        return [*found, {"role": "user", "content": self.turns[-1].prompt}]

    def export(self) -> dict[str, Any]:
        """The conversation as JSON: prompts, answers, who gave them, how, how fast."""
        return {
            "exported_at": now().isoformat(),
            "system": self.system,
            "turns": [
                {"prompt": turn.prompt, "answers": [exported(a) for _, a in sorted(turn.answers.items())]}
                for turn in self.turns
            ],
        }


def exported(answer: Answer) -> dict[str, Any]:
    """One answer as plain data."""
    shot = answer.snapshot()
    return {
        "model": answer.model,
        "identity": shot.identity,
        "sampling": vars(answer.sampling),
        "state": shot.state,
        "text": shot.text,
        "error": shot.message,
        "tokens": shot.tokens,
        "ttft_seconds": shot.ttft_seconds,
        "tokens_per_second": shot.tokens_per_second,
        "finish_reason": shot.finish_reason,
        "notes": list(shot.notes),
    }


def as_kept(talk: Conversation) -> dict[str, Any]:
    """A conversation as JSON, with all that `from_kept` needs to go on with it."""
    return {
        "id": talk.id,
        "owner": talk.owner,
        "title": talk.name,
        "named": bool(talk.title),
        "begun_at": talk.begun_at,
        "changed_at": now().isoformat(),
        "system": talk.system,
        "turns": [
            {
                "prompt": turn.prompt,
                "voted": turn.voted,
                "answers": {str(number): exported(answer) for number, answer in sorted(dict(turn.answers).items())},
            }
            for turn in list(talk.turns)
        ],
    }


def from_kept(record: Mapping[str, Any]) -> Conversation:
    """The conversation that was written down. Raises: KeyError, TypeError, ValueError for a record of another kind."""
    talk = Conversation()
    talk.id, talk.owner, talk.system = (str(record.get(key) or "") for key in ("id", "owner", "system"))
    talk.title = str(record.get("title") or "") if record.get("named") else ""
    talk.begun_at = str(record.get("begun_at") or talk.begun_at)
    for turn in record["turns"]:
        answers = {int(number): Answer.kept(one) for number, one in turn["answers"].items()}
        talk.turns.append(Turn(str(turn["prompt"]), answers, bool(turn.get("voted"))))
    return talk


def figures(shot: Snapshot) -> str:
    """What stands under an answer: time to the first token, pace, length, how it ended."""
    if shot.state == "waiting":
        return _waiting(shot)
    pieces = []
    if shot.ttft_seconds is not None:
        pieces.append(f"first token {shot.ttft_seconds:.2f} s" + (", its wait included" if shot.queue else ""))
    if shot.tokens_per_second is not None:
        pieces.append(f"{shot.tokens_per_second:.1f} tokens/s")
    pieces.append(f"{shot.tokens} tokens")
    ends = {"length": "cut off at max tokens", "stop": "finished"}
    if shot.state == "stopped":
        pieces.append("stopped")
    elif shot.finish_reason:
        pieces.append(ends.get(shot.finish_reason, shot.finish_reason))
    return " · ".join(pieces)


def _waiting(shot: Snapshot) -> str:
    state, place = shot.queue or ("", 0)
    why = {"loading": "the model is loading", "waiting": f"number {place} in the queue"}.get(
        state, "reading the prompt"
    )
    return f"{shot.waited_seconds:.0f} s: {why}"


def votes(
    turn: Turn, best: int | None, winner: Winner, ids: Mapping[str, str], *, voter: str = "", blind: bool = False
) -> list[Vote]:
    """A person's judgement of one prompt's answers as pairs: the best against each other, or all pairs alike.

    ids: model id by name; a pair with an unknown model, or of one model with itself, is left out.
    """
    shots = {number: (answer.model, answer.snapshot().text) for number, answer in turn.answers.items()}
    pairs = [(best, other) for other in shots if other != best] if best is not None else list(combinations(shots, 2))
    found = []
    for a, b in pairs:
        (model_a, text_a), (model_b, text_b) = shots[a], shots[b]
        if model_a in ids and model_b in ids and model_a != model_b:
            details = {"panes": len(shots), "sampling": vars(turn.answers[a].sampling)}
            found.append(
                Vote(
                    uuid4().hex,
                    turn.prompt,
                    ids[model_a],
                    ids[model_b],
                    text_a,
                    text_b,
                    winner,
                    voter=voter,
                    blind=blind,
                    details=details,
                    created_at=now(),
                )
            )
    return found
