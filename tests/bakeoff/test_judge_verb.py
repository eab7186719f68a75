"""`bakeoff judge` by a model of the store: votes of its own name, held against people's on the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from results import Evaluation, Machine, Model, Outcome, Vote, Workspace
from tests.evaluator.endpoints import Endpoint, served

ITEMS = 32


class Longer(Endpoint):
    """A judge that prefers the longer answer, in either order."""

    def reply(self, body: Mapping[str, Any]) -> str | None:
        first, second = (
            body["messages"][-1]["content"].split("# Answer 1\n")[1].split("\n\nReply with")[0].split("# Answer 2\n")
        )
        return "1" if len(first.strip()) > len(second.strip()) else "2"


@pytest.mark.parametrize("people", [0, ITEMS])
def test_a_judges_votes_are_said_with_how_far_it_agrees_with_people(tmp_path: Path, people: int) -> None:
    place = Workspace(tmp_path / "w")
    with served(Longer) as endpoint, place.store() as store:
        url = f"http://127.0.0.1:{endpoint.server_port}/v1"
        store.models.add(Model("judge-1", "judge", "remote", "", "judge", 0, url, details={"model": "judge"}))
        store.machines.add(Machine("m", "cpu", (), 1, 1, "", ""))
        answers = {"one": "a long answer {}", "two": "short {}"}
        for name, answer in answers.items():
            store.models.add(Model(f"{name}-1", name, "base", "b", name, 1, name))
            begun = store.evaluations.begin(Evaluation(name, f"{name}-1", "stopping", {}, "m"))
            outcomes = [Outcome(f"prompt {i}", details={"answer": answer.format(i)}) for i in range(ITEMS)]
            store.evaluations.add_outcomes(begun.id, outcomes)
            store.evaluations.finish(begun.id, [])
        for i in range(people):  # people prefer the longer answer to every fourth prompt only
            won = "b" if i % 4 == 0 else "a"
            store.votes.add(
                Vote(f"p{i}", f"prompt {i}", "two-1", "one-1", f"short {i}", f"a long answer {i}", won)  # type: ignore[arg-type]
            )
        told = CliRunner().invoke(app, ["judge", "one", "two", "--name", "judge", "--workspace", str(place.path)])
        assert told.exit_code == 0, told.output
        said = " ".join(told.output.split())
        cast = [vote for vote in store.votes.list() if vote.judge]
        assert len(cast) == ITEMS and {vote.judge for vote in cast} == {"judge"}
    if not people:
        assert "judge is uncalibrated: no person's labels" in said and "Corrected" not in said
    else:
        assert "judge agrees with people on 25 %" in said
        assert "Corrected by people's votes: one is preferred to two in 25 %" in said
