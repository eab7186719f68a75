"""Rows as people hand them in: each is used whole, or is unusable by name. Invented; each stands for its kind."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.experiment.schema import Columns, Source
from trainer.sources.conversations import Conversation
from trainer.sources.fields import BadRow, empty, harmless
from trainer.sources.formats import Converted, converted

SOURCE = Source(name="rows.jsonl")
CALC = {"name": "calc", "parameters": {"type": "object", "properties": {"sum": {"type": "string"}}}}
PLAIN = {"question": "Name the largest planet.", "answer": "Jupiter."}
CHAT = {
    "messages": [
        {"role": "user", "content": "Name the largest planet."},
        {"role": "assistant", "content": "Jupiter."},
    ]
}


def read(row: dict[str, Any], **source: Any) -> Converted:
    return converted(row, SOURCE.model_copy(update=source))


def said(row: dict[str, Any], **source: Any) -> list[str]:
    """`role: content` of each turn; an answer that is not trained is marked by a dash."""
    turns = read(row, **source).messages
    return [f"{'' if turn.get('train', True) else '-'}{turn['role']}: {turn['content']}" for turn in turns]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def test_alpaca_with_system_history_and_a_number() -> None:
    row = {
        "instruction": "And of the third?", "input": 3, "output": "Neptune.",
        "system": "You are a terse astronomer.", "history": [["Name the largest planet.", "Jupiter."]],
    }  # fmt: skip
    assert said(row) == [
        "system: You are a terse astronomer.", "user: Name the largest planet.", "assistant: Jupiter.",
        "user: And of the third?\n\n3", "assistant: Neptune.",
    ]  # fmt: skip


def test_sharegpt_with_system_and_tools_as_json() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "Prove that 2 is prime."},
            {"from": "gpt", "value": "Its divisors are 1 and 2."},
        ],
        "system": "Answer in one sentence.",
        "tools": '[{"name": "calc"}]',
    }
    assert said(row)[0] == "system: Answer in one sentence."
    assert read(row).tools == ({"type": "function", "function": {"name": "calc"}},)
    assert read({**row, "tools": "[]"}).tools == () == read({**row, "tools": ""}).tools


@pytest.mark.parametrize(
    "masked", [{"weight": 0}, {"train": False}, {"loss_weight": 0.0}, {"training": "false"}, {"masked": True}]
)
def test_a_masked_turn_is_read_and_not_trained(masked: dict[str, Any]) -> None:
    row = {
        "messages": [
            {"role": "user", "content": "Capital of France?", "weight": 0},
            {"role": "assistant", "content": "Lyon, I guess.", **masked},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "No: Paris.", "weight": 1},
        ]
    }
    assert said(row) == [
        "user: Capital of France?", "-assistant: Lyon, I guess.", "user: Sure?", "assistant: No: Paris.",
    ]  # fmt: skip
    conversation = Conversation(read(row).messages, "s", 0)
    assert conversation.answers == ("No: Paris.",)
    plain = [{key: turn[key] for key in ("role", "content")} for turn in row["messages"]]
    assert conversation.identity != Conversation(read({"messages": plain}).messages, "s", 0).identity


def test_a_weighted_question_is_said_not_to_be_trained() -> None:
    row = {"messages": [{**CHAT["messages"][0], "weight": 1}, CHAT["messages"][1]]}
    assert read(row).fields.notes == ["a user turn's `weight` is not followed: answers alone are trained"]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_of_a_turn_stays_beside_its_answer(key: str) -> None:
    row = {
        "messages": [{"role": "user", "content": "17*3?"}, {"role": "assistant", key: "10*3 + 7*3", "content": "51"}]
    }
    assert read(row).messages[1] == {"role": "assistant", "content": "51", "reasoning_content": "10*3 + 7*3"}
    assert read({"question": "17*3?", key: "10*3 + 7*3", "answer": 51}).messages == read(row).messages
    parts = [{"type": "thinking", "thinking": "10*3 + 7*3"}, {"type": "text", "text": "51"}]
    turns = [{"role": "user", "content": "17*3?"}, {"role": "assistant", "content": parts}]
    assert read({"messages": turns}).messages == read(row).messages


def test_tool_calls_of_every_spelling_are_one() -> None:
    asked = {"role": "user", "content": "Weather in Oslo?"}
    wanted = call("weather", city="Oslo")
    spellings: list[dict[str, Any]] = [
        {"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]},
        {"tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
        {"function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
    ]
    for spelling in spellings:
        found = read({"messages": [asked, {"role": "assistant", "content": "Let me look.", **spelling}]}).messages
        assert found[1] == {"role": "assistant", "content": "Let me look.", "tool_calls": [wanted]}
    shared = [
        {"from": "human", "value": "Weather in Oslo?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
        {"from": "observation", "value": '{"sky": "grey"}'},
        {"from": "gpt", "value": "Grey."},
    ]
    turns = read({"conversations": shared, "tools": [CALC]}).messages
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "assistant"]
    assert turns[1] == {"role": "assistant", "content": "", "tool_calls": [wanted]}
    assert Conversation(turns, "s", 0).answers == ('{"name": "weather", "arguments": {"city": "Oslo"}}', "Grey.")


@pytest.mark.parametrize(
    ("context", "shown"),
    [
        ({"sentences": [["The Nile is long."], ["The Rhine is short."]]},
         "sentences:\nThe Nile is long.\nThe Rhine is short."),
        (["The Nile is long.", "The Rhine is short."], "The Nile is long.\nThe Rhine is short."),
        ({"city": "Oslo", "people": 700000, "note": None}, "city: Oslo\npeople: 700000"),
        (0, "0"),
    ],
)  # fmt: skip
def test_context_of_any_shape_is_under_the_question(context: Any, shown: str) -> None:
    row = {"question": "Which river is longer?", "context": context, "answer": "Nile"}
    assert said(row)[0] == f"user: Which river is longer?\n\n{shown}"
    template = Columns(prompt="{context}\n{question}", answer="{answer}")
    assert said(row, columns=template)[0] == f"user: {shown}\nWhich river is longer?"


def test_numbers_are_text() -> None:
    assert said({"prompt": 6, "completion": 36}) == ["user: 6", "assistant: 36"]
    assert said({"question": "True?", "answer": False}) == ["user: True?", "assistant: False"]


def test_names_of_other_cases_and_openorca() -> None:
    assert said({"Prompt": "q", "Completion ": "a"}) == ["user: q", "assistant: a"]
    row = {"id": "flan.1", "system_prompt": "Be kind.", "question": "q", "response": "a"}
    assert said(row) == ["system: Be kind.", "user: q", "assistant: a"]


def test_a_system_prompt_given_twice_must_be_the_same() -> None:
    turns = [{"role": "system", "content": "Be kind."}, *CHAT["messages"]]
    assert len(read({"messages": turns, "system": "Be kind. "}).messages) == 3
    with pytest.raises(BadRow, match="two system prompts"):
        read({"messages": turns, "system": "Be terse."})


def test_turns_as_json_text_and_as_columns() -> None:
    text = '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'
    assert said({"messages": text}) == ["user: q", "assistant: a"]
    columns = {"from": ["human", "gpt"], "value": ["q", "a"]}
    assert said({"conversations": columns}) == ["user: q", "assistant: a"]


def test_an_unanswered_end_is_left_out_and_said() -> None:
    found = read({"messages": [*CHAT["messages"], {"role": "user", "content": "And then?"}]})
    assert len(found.messages) == 2 and "left out" in found.fields.notes[0]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, r'preference pair.*columns: \{prompt: "\{prompt\}"'),
        ({"chosen": CHAT["messages"], "rejected": CHAT["messages"]}, "preference pair.*rename `chosen` to `messages`"),
        ({**CHAT, "chosen": "a", "rejected": "b"}, "preference pair.*format: messages"),
        ({"prompt": "q", "completion": "a", "label": False}, "'label' is false: an answer that KTO marks as unwanted"),
        ({**CHAT, "kto_tag": "False"}, "'kto_tag' is false"),
        ({**PLAIN, "images": ["a.png"]}, "'images' holds images"),
        ({"messages": [{"role": "user", "content": [IMAGE]}, CHAT["messages"][1]]}, "holds 'image_url', and only text"),
        ({**PLAIN, "weight": 0.3}, "'weight' weighs rows"),
        ({**PLAIN, "loss_weight": 0}, "'loss_weight' is 0: the row is not to be trained"),
        ({"messages": [CHAT["messages"][0], {**CHAT["messages"][1], "weight": 0.5}]}, "`weight` is 0.5: only 0 and 1"),
        ({"messages": [CHAT["messages"][0], {**CHAT["messages"][1], "train": False}]}, "every answer's weight is 0"),
        ({**CHAT, "history": [["q", "a"]]}, "'history' holds earlier turns"),
        ({**CHAT, "context": {"a": "b"}}, "'context' stands beside the turns"),
        ({**PLAIN, "instruction": "Answer in French."}, "'instruction' asks something beside the question"),
        ({**PLAIN, "chat_template_kwargs": {"x": 1}}, "'chat_template_kwargs' sets options"),
        ({**PLAIN, "tools": "calc"}, "tools is text that is not JSON"),
        ({**PLAIN, "tools": [{"type": "web_search"}]}, "a tool is no function with a name"),
        ({**CHAT, "mask": "Assistant"}, "'mask' masks turns"),
        ({"messages": [CHAT["messages"][0], {**CHAT["messages"][1], "masked": [1]}]}, "`masked` is not understood"),
        ({"query": "q", "response": "a", "rejected_response": "b"}, "'rejected_response' is the unwanted half"),
        ({"question": "q", "choices": ["a", "b"], "answer": 1}, "'choices' holds the choices of the question"),
        ({"body": {"messages": [CHAT["messages"][0]]}, "custom_id": "1"}, "a request to a batch API"),
        ({"custom_id": "1", "response": {"body": {}, "status_code": 200}}, "a reply of a batch API"),
        ({"title": "t", "mapping": {"a": {"message": None}}}, "a ChatGPT export.*`messages`"),
        ({"message_tree_id": "t", "prompt": {"text": "q", "replies": []}}, "OpenAssistant's"),
        ({"file_name": "mine.json", "formatting": "sharegpt"}, "dataset_info.json.*name the file"),
        ({"segments": [{"label": True, "text": "q"}]}, "masked segments"),
        ({"text": "<|im_start|>user\nHi<|im_end|>"}, "a chat template wrote"),
        ({"inputs": {"question": "q"}, "outputs": {"answer": "a"}}, r"which reach inside, as \{inputs.question\}"),
        ({"id": 1, "data": ["q", "a"]}, "if `data` holds turns"),
        ({"messages": [{"role": "user", "parts": [{"inlineData": {}}]}, CHAT["messages"][1]]}, "type 'inlineData'"),
        ({"text": "Once upon a time"}, "plain text has no answer to learn"),
        ({"input_ids": [1, 2], "labels": [1, 2]}, "tokenised already"),
        ({"role": "user", "content": "q"}, "one turn, not a conversation"),
        ({"prompt^completion": "q^a"}, "one column, .*: tables are read by commas, semicolons, tabs or bars"),
        ({"How long is the river that flows through Cairo, in kilometres?": "x", "6,650": "y"}, "column names missing"),
        ({"question": "q", "answer": {"a": 1}}, "answer is an object, not one text"),
        ({"question": "q", "answer": float("nan")}, "an empty assistant turn"),
        ({"messages": [CHAT["messages"][0], {"role": "tool", "content": "x"}]}, "no assistant turn"),
        (
            {"messages": [CHAT["messages"][0], {"role": "tool", "content": "x"}, CHAT["messages"][1]]},
            "a tool's answer follows no call",
        ),
        ({"question": "\ud800", "answer": "a"}, "half of a surrogate pair"),
        ({"messages": [{"role": "wizard", "content": "q"}, CHAT["messages"][1]]}, "unknown role 'wizard'"),
    ],
)
def test_what_cannot_be_used_is_named(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        read(row)


def test_a_preference_pair_is_trained_on_where_the_person_says_how() -> None:
    row = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    columns = Columns(prompt="{prompt}", answer="{chosen}")
    assert said(row, columns=columns) == ["user: q", "assistant: good"]
    assert read(row, columns=columns).fields.unused == ["rejected"]
    found = read({**CHAT, "chosen": [{"a": 1}], "rejected": [{"b": 2}]}, format="messages")
    assert found.fields.unused == ["chosen", "rejected"]


GEMINI = {
    "systemInstruction": {"role": "system", "parts": [{"text": "Be terse."}]},
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello"}]}],
}
BEDROCK = {
    "schemaVersion": "bedrock-conversation-2024",
    "system": [{"text": "Be terse."}],
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}, {"role": "assistant", "content": [{"text": "Hello"}]}],
}
ANTHROPIC = {
    "system": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
}
COHERE = {"messages": [{"role": role, "content": text} for role, text in
                       (("System", "Be terse."), ("User", "Hi"), ("Chatbot", "Hello"))]}  # fmt: skip
XTUNER = {"conversation": [{"system": "Be terse.", "input": "Hi", "output": "Hello"}]}


@pytest.mark.parametrize("row", [GEMINI, BEDROCK, ANTHROPIC, COHERE, XTUNER])
def test_system_prompts_and_turns_of_other_services_are_read(row: dict[str, Any]) -> None:
    assert said(row) == ["system: Be terse.", "user: Hi", "assistant: Hello"]
    assert not read(row).fields.unused


def test_turns_of_other_names_are_read() -> None:
    hello = ["user: Hi", "assistant: Hello"]
    assert said({"conversation": [{"human": "Hi", "assistant": "Hello"}], "category": "x"}) == hello
    assert said({"messages": [{"author": "user", "content": "Hi"}, {"author": "bot", "content": "Hello"}]}) == hello
    export = {"chat_messages": [{"sender": "human", "text": "Hi"}, {"sender": "assistant", "text": "Hello"}]}
    assert said(export) == hello
    assert said({**PLAIN, "contents": [{"a": "document"}]}) == said(PLAIN), "and a pair goes before"
    assert said({"question": "Q", "article": "Text.", "answer": "A"}) == ["user: Q\n\nText.", "assistant: A"]


def test_anthropic_tool_calls_and_their_results_are_turns() -> None:
    row = {
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Oslo?"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "rain", "is_error": True},
            ]},
            {"role": "assistant", "content": "Rain."},
        ],
    }  # fmt: skip
    assert said(row) == ["user: Oslo?", "assistant: Let me look.", "tool: rain", "assistant: Rain."]
    found = read(row)
    assert found.messages[1]["tool_calls"] == [{"id": "t1", **call("weather", city="Oslo")}]
    assert found.messages[2]["tool_call_id"] == "t1" and found.fields.unused == ["parts.is_error"]


def test_what_a_second_spelling_holds_is_named() -> None:
    asked = CHAT["messages"][0]
    for more, named in (
        ({"reasoning": "So.", "thinking": "Or so."}, ["turns.thinking"]),
        ({"reasoning": "So.", "thinking": "So."}, []),
        ({"reasoning": "So.", "content": [{"type": "thinking", "thinking": "Or so."}, {"type": "text", "text": "J."}]},
         ["parts.thinking"]),
        ({"from": "gpt"}, ["turns.from"]),
    ):  # fmt: skip
        found = read({"messages": [asked, {"role": "assistant", "content": "Jupiter.", **more}]})
        assert found.fields.unused == named and found.messages[1]["role"] == "assistant", more
    calling = {"from": "function_call", "value": '{"name": "calc"}', "reasoning_content": "I must count."}
    turns = [asked, calling, {"role": "tool", "content": "5"}, CHAT["messages"][1]]
    assert read({"messages": turns}).fields.unused == ["turns.reasoning_content"]
    both = {"tool_calls": [call("calc")], "function_call": {"name": "clock", "arguments": "{}"}}
    turns[1] = {"role": "assistant", "content": None, **both}
    assert read({"messages": turns}).fields.unused == ["turns.function_call"]


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), b"x", Decimal("1.5")], ids=["time", "bytes", "decimal"])
def test_tools_of_a_table_s_own_values_are_named(value: Any) -> None:
    with pytest.raises(BadRow, match=f"tools hold {type(value).__name__}, which JSON does not"):
        read({**PLAIN, "tools": [{"name": "weather", "parameters": {"at": value}}]})
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"at": value}}}]}
    turns = [CHAT["messages"][0], turn, {"role": "tool", "content": "rain"}, CHAT["messages"][1]]
    with pytest.raises(BadRow, match=f"arguments hold {type(value).__name__}"):
        read({"messages": turns})


def test_masks_of_turns_that_are_not_trained_anyway_change_nothing() -> None:
    assert said({**CHAT, "mask": "User"}) == said(CHAT) and not read({**CHAT, "mask": "User"}).fields.unused
    turns = [{**CHAT["messages"][0], "masked": True}, {**CHAT["messages"][1], "masked": False, "prefix": False}]
    assert said({"messages": turns}) == said(CHAT) and not read({"messages": turns}).fields.unused


def test_what_is_damaged_before_is_said() -> None:
    assert read({"question": "se�or?", "answer": "a"}).fields.notes


def test_unknown_columns_are_named_and_known_notes_are_not() -> None:
    row = {**PLAIN, "id": 7, "source": "wiki", "quality_score": 3.5, "metadata": {"a": 1}, "mood": "calm", "empty": ""}
    fields = read(row).fields
    assert fields.unused == ["mood"]
    assert set(fields.ignored) == {"id", "source", "quality_score", "metadata"}
    document = {**PLAIN, "source": "A long document. " * 20}
    assert read(document).fields.unused == ["source"]
    turns = [{**CHAT["messages"][0], "mood": "calm", "id": 3}, CHAT["messages"][1]]
    assert read({"messages": turns}).fields.unused == ["turns.mood"]
    assert read({**CHAT, "prompt": "Name the largest planet."}).fields.ignored == ["prompt"]  # the turns hold it


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.text(max_size=12) | st.sampled_from(
    ["id", "context", "system", "history", "tools", "images", "weight", "label", "reasoning", "instruction", "chosen",
     "source", "input", "score", "mood", "train", "text", "prompt", "messages", "Question", "kto_tag", "functions",
     "masked", "mask", "prefix", "author", "parts", "contents", "choices", "rejected_response", "systemInstruction"]
)  # fmt: skip


@given(st.sampled_from([PLAIN, CHAT, {"instruction": "q", "input": "", "output": "a"}]), NAMES, VALUES)
def test_any_extra_column_is_used_harmless_named_or_counted(row: dict[str, Any], name: str, value: Any) -> None:
    whole = {name: value, **row}
    try:
        fields = read(whole).fields
    except BadRow:
        return  # counted, with its reason
    known = {*fields.used, *fields.ignored, *fields.unused}
    for column, found in fields.row.items():
        assert empty(found) or column in known, f"{column} is lost"
    for column in fields.ignored:
        texts = fields.row[column] if isinstance(fields.row[column], list) else [fields.row[column]]
        turns = read(whole).messages
        repeated = all(any(str(text).strip() in turn["content"] for turn in turns) for text in texts)
        assert harmless(column.strip().lower().replace(" ", "_"), fields.row[column]) or repeated


@given(NAMES, VALUES)
def test_any_extra_key_of_a_turn_is_used_harmless_named_or_counted(name: str, value: Any) -> None:
    turns = [CHAT["messages"][0], {name: value, **CHAT["messages"][1]}]
    try:
        found = read({"messages": turns})
    except BadRow:
        return
    turn = found.messages[-1]
    used = len(turn) > 2 or name in ("role", "content", "from", "value", "text", "weight", "train", "masked")
    used = used or (name == "prefix" and value is False)
    plain = name.lower()
    assert used or empty(value) or harmless(plain, value) or f"turns.{name}" in found.fields.unused


@given(NAMES, VALUES)
def test_any_extra_key_of_a_part_is_used_harmless_or_named(name: str, value: Any) -> None:
    for kind, of in (("text", "assistant"), ("thinking", "assistant"), ("tool_result", "user")):
        parts = [{name: value, "type": kind, "text": "a", **({} if kind == "text" else {"tool_use_id": "t"})}]
        turns = [CHAT["messages"][0], CHAT["messages"][1], {"role": of, "content": parts}]
        if of == "user":
            call = {"type": "tool_use", "id": "t", "name": "calc", "input": {}}
            turns[1:] = [{"role": "assistant", "content": [call]}, turns[-1], CHAT["messages"][1]]
        try:
            found = read({"messages": turns if of == "user" else [CHAT["messages"][0], turns[-1]]})
        except BadRow:
            continue
        used = name in ("type", "text", "content", "tool_use_id", "thinking", "reasoning", "value")
        assert used or empty(value) or harmless(name.lower(), value) or f"parts.{name}" in found.fields.unused


PLACES = ["beside the call", "in the call", "in a bare call", "in Anthropic's call", "beside the tool", "in the tool"]


@given(
    st.sampled_from(PLACES), NAMES | st.sampled_from(["output", "strict", "input", "arguments", "parameters"]), VALUES
)
def test_any_extra_key_of_a_call_or_a_tool_is_used_harmless_named_or_counted(place: str, name: str, value: Any) -> None:
    extra, inner = {name: value}, {"name": "calc", "arguments": {"sum": "2+3"}}
    anthropic = {"type": "tool_use", "id": "t", "name": "calc", "input": {"sum": "2+3"}}
    calling: dict[str, Any] = {"role": "assistant", "content": ""}
    if place == "in Anthropic's call":
        calling["content"] = [{**extra, **anthropic}]
    else:
        bare = {**extra, **inner} if place == "in a bare call" else None
        within = {**(extra if place == "in the call" else {}), **inner}
        beside = extra if place == "beside the call" else {}
        calling["tool_calls"] = [bare or {**beside, "type": "function", "function": within}]
    tool: dict[str, Any] = {**(extra if place == "beside the tool" else {}), "type": "function"}
    tool["function"] = {**(extra if place == "in the tool" else {}), **CALC}
    turns = [CHAT["messages"][0], calling, {"role": "tool", "content": "5"}, CHAT["messages"][1]]
    try:
        found = read({"messages": turns, "tools": [tool]})
    except BadRow:
        return
    made = (found.messages[1]["tool_calls"], found.tools)
    known = {"type", "function", "name", "arguments", "input" if "Anthropic" in place else ""}
    shown = name in found.tools[0]["function"] if place == "in the tool" else name == "id" and isinstance(value, str)
    named = f"{'tools' if 'tool' in place else 'calls'}.{name}" in found.fields.unused
    named = named or (name == "parameters" and "calls.input" in found.fields.unused)  # the first one is used
    assert name in known or shown or empty(value) or harmless(name.lower(), value) or named, made
