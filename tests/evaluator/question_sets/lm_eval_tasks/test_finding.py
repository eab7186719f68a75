"""What a name behind lm-eval: means, and what a foreign YAML may not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from evaluator import BenchmarkUnreadable, HarnessSettings, ModelUnmeasurable, named_tasks, request_shown
from evaluator.question_sets.lm_eval_tasks.documents import Manner, documents, turns_of
from evaluator.question_sets.lm_eval_tasks.settings import sampling_of


def test_a_file_of_ones_own_is_loaded_with_the_rows_beside_it(folder: Path) -> None:
    found = named_tasks(f"lm-eval:{folder}/colours.yaml")
    assert (found.benchmark, found.kind, list(found.tasks)) == ("lm-eval:colours", "loglikelihood", ["colours"])
    of = documents(found, Manner())
    assert len(of.chosen) == 6 and of.subset == "" and len({one.id for one in of.chosen}) == 6
    first = of.chosen[0]
    assert request_shown(str(first.requests[0].args[0])) == "Question: What colour has a rose?\nAnswer:"
    assert [one.args[1] for one in first.requests] == [" red", " blue", " yellow and green"]
    half = documents(found, Manner(tasks=3))
    assert half.subset == "3 of 6 items" and {one.id for one in half.chosen} < {one.id for one in of.chosen}
    prompts = {one.id: one.requests[0].args for one in of.chosen}
    assert all(prompts[one.id] == one.requests[0].args for one in half.chosen), "numbers and prompts stay together"


def test_examples_are_drawn_the_same_each_time(folder: Path) -> None:
    tasks = named_tasks(f"lm-eval:{folder}/sums.yaml")
    one, two = (documents(tasks, Manner(num_fewshot=2)) for _ in range(2))
    assert one.digest == two.digest != documents(tasks, Manner(num_fewshot=1)).digest
    assert request_shown(str(one.chosen[0].requests[0].args[0])).count("What is") == 3


def test_turns_of_a_chat_wait_for_the_models_own_template(folder: Path) -> None:
    of = documents(named_tasks(f"lm-eval:{folder}/sums.yaml"), Manner(chat=True, system="Be brief."))
    turns, begun = turns_of(str(of.chosen[0].requests[0].args[0]))
    assert [turn["role"] for turn in turns] == ["system", "user"] and begun == ""
    assert turns[-1]["content"] == "What is 1 and 2?"


def test_a_group_in_a_folder_names_its_items_by_their_task(folder: Path) -> None:
    for other in ("next", "whole"):
        (folder / f"{other}.yaml").unlink()
    with pytest.raises(BenchmarkUnreadable, match="colours, sums: name one of its files"):
        named_tasks(f"lm-eval:{folder}")
    (folder / "sums.yaml").write_text((folder / "colours.yaml").read_text().replace("task: colours", "task: hues"))
    (folder / "both.yaml").write_text("group: both\ntask: [colours, hues]\n")
    found = named_tasks(f"lm-eval:{folder}")
    assert (found.benchmark, list(found.tasks)) == ("lm-eval:both", ["colours", "hues"])
    of = documents(found, Manner(tasks=4))
    assert [one.task for one in of.chosen] == ["colours", "colours", "hues", "hues"]
    assert all(one.id.startswith(f"{one.task}/") for one in of.chosen)


RUNS = {
    "doc_to_text: !function mine.text": "!function runs Python of the file",
    "process_docs: !function os.system": "!function runs Python of the file",
    "class: mine.Task": "class names a Python class",
    "unsafe_code: true": "unsafe_code has programs run outside of a sandbox",
    "metric_list: [{metric: somebody/else, aggregation: mean, higher_is_better: true}]": "from the Hub and run it",
    "metric_list: [{metric: acc, hf_evaluate: true}]": "loads a metric's Python from the Hub",
    "fewshot_config: {samples: !function mine.shots}": "!function runs Python of the file",
}


@pytest.mark.parametrize("line", RUNS)
@pytest.mark.parametrize("included", [False, True])
def test_what_would_run_python_is_refused_before_anything_is(folder: Path, line: str, included: bool) -> None:
    mark = folder / "ran"
    (folder / "mine.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\ntext = Task = shots = print\n"
    )
    (folder / "colours.yaml").write_text(("include: part.inc\n" if included else f"{line}\n") + "task: colours\n")
    (folder / "part.inc").write_text(f"{line}\n")
    with pytest.raises(BenchmarkUnreadable, match=RUNS[line]) as refusal:
        named_tasks(f"lm-eval:{folder}/colours.yaml")
    assert ("part.inc" if included else "colours.yaml") in str(refusal.value) and not mark.exists()


def test_a_group_does_not_bring_in_what_would_run_python(folder: Path) -> None:
    (folder / "sums.yaml").write_text("task: sums\ndoc_to_text: !function mine.text\n")
    (folder / "both.yaml").write_text("group: both\ntask: [colours, sums]\n")
    with pytest.raises(BenchmarkUnreadable, match=r"sums\.yaml: !function"):
        named_tasks(f"lm-eval:{folder}/both.yaml")


def test_templates_reach_no_python(folder: Path) -> None:
    path = folder / "colours.yaml"
    path.write_text(path.read_text().replace("{{question}}", "{{ ''.__class__.__mro__[1].__subclasses__() }}"))
    with pytest.raises(BenchmarkUnreadable, match="unsafe"):
        documents(named_tasks(f"lm-eval:{path}"), Manner())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("lm-eval:gsm9k", "lm-eval 0.4.13 has no task 'gsm9k'", marks=pytest.mark.slow),  # looks at all
        ("lm-eval:./nowhere.yaml", "there is no task, file or folder './nowhere.yaml'"),
        ("lm-eval:", "there is no task, file or folder ''"),
        ("lm-eval:humaneval", "runs programs outside of a sandbox, and is refused; humaneval, humaneval+"),
        ("lm-eval:gsm8k", "The rows of lm-eval:gsm8k are not on this machine"),
    ],
)
def test_what_cannot_be_had_is_one_line(name: str, said: str) -> None:
    with pytest.raises(BenchmarkUnreadable) as refusal:
        named_tasks(name)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_broken_tasks_are_one_line(folder: Path) -> None:
    path = folder / "colours.yaml"
    for text in ("[1, 2]", "task: colours", "task: [", "dataset_path: json", "task: colours\noutput_type: guess"):
        path.write_text(text)
        with pytest.raises(BenchmarkUnreadable) as refusal:
            named_tasks(f"lm-eval:{path}")
        assert "\n" not in str(refusal.value)


def test_how_an_answer_is_drawn_is_as_the_task_says_or_refused() -> None:
    usual = HarnessSettings()
    greedy = sampling_of("1", {"until": "\n", "do_sample": False, "temperature": 0.7}, usual, 1)
    assert (greedy.temperature, greedy.max_tokens, greedy.stop) == (0.0, 256, ("\n",))
    drawn = sampling_of("1", {"until": ["a", ""], "do_sample": True, "temperature": 0.7, "max_tokens": 9}, usual, 1)
    assert (drawn.temperature, drawn.max_tokens, drawn.stop) == (0.7, 9, ("a",))
    assert sampling_of("1", {"max_gen_toks": 9}, HarnessSettings(max_tokens=5), 1).max_tokens == 5
    with pytest.raises(ModelUnmeasurable, match="generation_kwargs has 'num_beams'"):
        sampling_of("1", {"num_beams": 4}, usual, 1)


def test_the_command_shows_what_would_be_asked_and_refuses_others_options(folder: Path, tmp_path: Path) -> None:
    told = ["evaluate", "--benchmark", f"lm-eval:{folder}/colours.yaml", "--workspace", str(tmp_path / "ws")]
    shown = CliRunner().invoke(app, [*told, "--dry-run", "--tasks", "3"])
    assert shown.exit_code == 0, shown.output
    assert "lm-eval:colours: colours (6 items, version" in shown.stdout and "then: ' yellow and green'" in shown.stdout
    assert "Nothing was asked. To be asked 3 items: no model: name some" in shown.stdout
    for options in (["--check", "exact"], ["--samples", "3", "--temperature", "1"], ["--choices", "likelihood"]):
        refused = CliRunner().invoke(app, [*told, *options])
        assert isinstance(refused.exception, ModelUnmeasurable)
        assert "says itself how it is sampled and checked: leave out --" in str(refused.exception)
