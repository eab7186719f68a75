"""What templates do to rows: rendered whole and trained, or left out by name with its place. Never lost in silence."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trl

from results import Workspace
from trainer import Conversation, TrainerError, data_words, prepare, removed_words
from trainer.bases.miniature_tokenizers import miniature_tokenizer
from trainer.data.chat_masks import IGNORED, Masked, mask_conversations
from trainer.experiment.schema import Data
from trainer.sources.conversations import Turn

tokenizer_of = cache(miniature_tokenizer)

CALC = {
    "type": "function",
    "function": {"name": "calc", "parameters": {"type": "object", "properties": {"sum": {"type": "string"}}}},
}
CALL = {"type": "function", "function": {"name": "calc", "arguments": {"sum": "17*3"}}}
ASKED: Turn = {"role": "user", "content": "17*3?"}
THOUGHT: Turn = {"role": "assistant", "content": "51", "reasoning_content": "10*3 + 7*3"}
LOOP: list[Turn] = [
    ASKED,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": '{"value": 51}', "name": "calc"},
    {"role": "assistant", "content": "It is 51."},
]


def masked(style: str, turns: list[Turn], tools: list[Any] | None = None, length: int = 512) -> Masked:
    return mask_conversations([Conversation(tuple(turns), "s", 7, {}, tuple(tools or ()))], tokenizer_of(style), length)


def trained(style: str, found: Masked) -> list[list[str]]:
    """The trained runs of each example, as text."""
    runs = []
    for _, labels, _ in found.examples:
        pieces: list[list[int]] = [[]]
        for label in labels:
            if label == IGNORED:
                pieces.append([])
            else:
                pieces[-1].append(label)
        runs.append([tokenizer_of(style).decode(piece).strip() for piece in pieces if piece])
    return runs


def test_reasoning_is_trained_where_the_template_knows_it() -> None:
    found = masked("qwen3", [ASKED, THOUGHT])
    assert trained("qwen3", found) == [["<think>\n10*3 + 7*3\n</think>\n\n51<|im_end|>"]]


@pytest.mark.parametrize("style", ["llama", "qwen2", "gemma", "mistral", "phi3"])
def test_reasoning_that_a_template_does_not_show_is_named(style: str) -> None:
    found = masked(style, [ASKED, THOUGHT])
    [(reason, where)] = found.left_out.items()
    assert "does not show the reasoning" in reason and where == {"rows": 1, "examples": ["s, row 7"]}
    assert found.report()["refused_by_template"] == 1 and not found.examples


@pytest.mark.parametrize("written", ["<think>10*3 + 7*3</think>51", "<think>\n10*3 + 7*3\n</think>\n\n51"])
def test_a_thought_inside_the_answer_is_trained_by_every_template(written: str) -> None:
    found = masked("qwen3", [ASKED, {"role": "assistant", "content": written}])
    assert trained("qwen3", found) == [["<think>\n10*3 + 7*3\n</think>\n\n51<|im_end|>"]]
    assert trained("llama", masked("llama", [ASKED, {"role": "assistant", "content": written}])) == [
        [f"{written}<|eot_id|>"]
    ]


def test_earlier_thoughts_are_trained_in_examples_of_their_own() -> None:
    again: Turn = {"role": "user", "content": "And 18*3?"}
    second: Turn = {"role": "assistant", "content": "<think>51 + 3</think>54"}
    found = masked("qwen3", [ASKED, THOUGHT, again, second])
    assert trained("qwen3", found) == [
        ["<think>\n10*3 + 7*3\n</think>\n\n51<|im_end|>"],
        ["<think>\n51 + 3\n</think>\n\n54<|im_end|>"],
    ]
    assert found.kept == [0, 0] and found.report()["rows_of_several_examples"] == 1
    whole = tokenizer_of("qwen3").decode(found.examples[1][0])
    assert "10*3 + 7*3" not in whole and "51<|im_end|>" in whole, "as at inference, earlier thoughts are left out"


def test_sixty_reasoned_rows_are_sixty_examples(tmp_path: Path) -> None:
    """Half of them answer with a thought inside, as public sets for Qwen 3 do."""
    rows = [
        f'{{"prompt": "What is {n} doubled?", "completion": "{"<think>two times</think>" * (n % 2)}It is {n * 2}."}}\n'
        for n in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    data = Data.model_validate(
        {"sources": [{"name": str(tmp_path / "rows.jsonl")}], "quality": {"near_duplicates": None}}
    )
    found = prepare(data, tokenizer_of("qwen3"), 256, Workspace(tmp_path / "w"))
    assert len(found.train) + len(found.validation) == 60
    assert removed_words(found.report) == "nothing removed" and data_words(found.report) == []


@pytest.mark.parametrize("style", ["qwen2", "qwen3", "llama"])
def test_tools_their_calls_and_results_are_rendered_and_calls_trained(style: str) -> None:
    found = masked(style, LOOP, [CALC])
    [runs] = trained(style, found)
    assert len(runs) == 2 and runs[1].endswith(("It is 51.<|im_end|>", "It is 51.<|eot_id|>"))
    assert "calc" in runs[0] and "17*3" in runs[0] and runs[0].endswith(("<|im_end|>", "<|eot_id|>"))
    whole = tokenizer_of(style).decode(found.examples[0][0])
    assert '"parameters"' in whole and "51}" in whole and "value" not in "".join(runs)


@pytest.mark.parametrize("style", ["smollm2", "gemma", "mistral", "phi3"])
def test_tools_that_a_template_does_not_show_are_named(style: str) -> None:
    for turns, tools in (([ASKED, {"role": "assistant", "content": "51"}], [CALC]), (LOOP[:2], None)):
        found = masked(style, turns, tools)
        [(reason, where)] = found.left_out.items()
        assert not found.examples and where["rows"] == 1
        assert "does not show tool" in reason and "Qwen 2.5" in reason


REAL = Path(trl.__file__).parent / "chat_templates"
"""Templates of published models, as TRL keeps them."""

END = {"llama": "<|eot_id|>", "gemma": "<end_of_turn>", "phi3": "<|end|>", "qwen2": "<|im_end|>"}
CALLED = '"name": "calc", "arguments": {"sum": "17*3"}}\n</tool_call><|im_end|>'
LLAMAS_CALL = '{"name": "calc", "parameters": {"sum": "17*3"}}<|eot_id|>'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "style", "thought", "called"),
    [
        ("llama3_1", "llama", "", LLAMAS_CALL),
        ("llama3_2", "llama", "", LLAMAS_CALL),
        ("llama3", "llama", "", ""),
        ("qwen2_5", "qwen2", "", CALLED),
        ("qwen3", "qwen2", "<think>\n10*3 + 7*3\n</think>\n\n51<|im_end|>", CALLED),
        ("qwen3_instruct_2507", "qwen2", "", CALLED),
        ("gemma", "gemma", "", ""),
        ("gemma3", "gemma", "", ""),
        ("phi3", "phi3", "", ""),
    ],
)
def test_published_templates_show_all_of_a_row_or_lose_it_by_name(
    name: str, style: str, thought: str, called: str
) -> None:
    tokenizer = miniature_tokenizer(style)
    tokenizer.chat_template = (REAL / f"{name}.jinja").read_text(encoding="utf-8")

    def texts(turns: list[Turn], tools: list[Any] | None = None) -> list[str]:
        row = Conversation(tuple(turns), "s", 0, {}, tuple(tools or ()))
        found = mask_conversations([row], tokenizer, 4000)
        assert bool(found.examples) != bool(found.left_out)
        return [
            tokenizer.decode([label for label in labels if label != IGNORED]) for _, labels, _ in found.examples
        ] or [next(iter(found.left_out))]

    system: Turn = {"role": "system", "content": "Be brief."}
    [plain] = texts([system, ASKED, {"role": "assistant", "content": "51"}])
    assert plain.removeprefix("<think>\n\n</think>\n\n").strip() == f"51{END[style]}"
    [reasoned] = texts([ASKED, THOUGHT])
    assert reasoned == thought if thought else "does not show the reasoning" in reasoned
    [calling] = texts(LOOP, [CALC])
    assert called in calling and "It is 51." in calling if called else "does not show" in calling


def test_text_beside_a_call_is_kept_or_named() -> None:
    turns: list[Turn] = [ASKED, {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]}]
    [[run]] = trained("qwen2", masked("qwen2", turns, [CALC]))
    assert run.startswith("Let me look.\n<tool_call>") and run.endswith("</tool_call><|im_end|>")
    [reason] = masked("llama", turns, [CALC]).left_out
    assert "the text beside a tool call" in reason


def test_what_a_template_refuses_is_named_by_its_own_words() -> None:
    turns: list[Turn] = [ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}]
    assert "Only single tool calls" in next(iter(masked("llama", turns, [CALC]).left_out))


@pytest.mark.parametrize("style", ["llama", "qwen2", "qwen3", "gemma", "mistral", "phi3", "smollm2"])
def test_a_turn_that_is_not_to_be_trained_is_read_only(style: str) -> None:
    turns: list[Turn] = [
        {"role": "user", "content": "Capital of France?"},
        {"role": "assistant", "content": "Lyon, I guess.", "train": False},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "No: Paris."},
    ]
    found = masked(style, turns)
    [[run]] = trained(style, found)
    assert "No: Paris." in run and "Lyon" not in run
    assert "Lyon" in tokenizer_of(style).decode(found.examples[0][0])


def test_a_template_that_drops_the_system_turn_has_it_in_the_question() -> None:
    tokenizer = miniature_tokenizer("qwen2")
    tokenizer.chat_template = (
        "{%- for message in messages if message['role'] != 'system' %}"
        "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    )
    row = Conversation(
        ({"role": "system", "content": "Be brief."}, ASKED, {"role": "assistant", "content": "51"}), "s", 0
    )
    [(ids, _, _)] = mask_conversations([row], tokenizer, 512).examples
    assert "Be brief.\n\n17*3?" in tokenizer.decode(ids)


def test_answers_beyond_the_length_are_counted_with_their_places() -> None:
    long: Turn = {"role": "user", "content": "word " * 300}
    found = masked("llama", [long, {"role": "assistant", "content": "a"}], length=64)
    assert found.left_out == {
        "the answer begins beyond 64 tokens: raise training.max_length": {"rows": 1, "examples": ["s, row 7"]}
    }
    report = {"sources": [], "tokens": {"training": found.report()}}
    assert removed_words(report) == "removed: 1 answered beyond max_length"
    assert data_words(report) == [
        "1 row is left out: the answer begins beyond 64 tokens: raise training.max_length (1: s, row 7)"
    ]


def test_a_data_set_that_the_base_cannot_show_is_an_error_that_says_so(tmp_path: Path) -> None:
    rows = "".join(
        f'{{"messages": [{{"role": "user", "content": "q{n}"}}, '
        f'{{"role": "assistant", "content": "{n}", "reasoning_content": "hm {n}"}}]}}\n'
        for n in range(20)
    )
    (tmp_path / "rows.jsonl").write_text(rows)
    data = Data.model_validate({"sources": [{"name": str(tmp_path / "rows.jsonl")}]})
    with pytest.raises(TrainerError, match=r"takes no training row.*does not show the reasoning.*Qwen 3"):
        prepare(data, tokenizer_of("llama"), 256, Workspace(tmp_path / "w"))
