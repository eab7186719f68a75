"""Every row format as users have it, and rows that are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.experiment.schema import Columns, Source
from trainer.sources.fields import BadRow
from trainer.sources.formats import converted, fill

PLAIN = Source(name="rows.jsonl")


def turns(row: dict[str, Any], source: Source = PLAIN) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in converted(row, source).messages]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "score": 4.2},
        {"conversations": [{"role": "user", "content": "q"}, {"role": "model", "content": "a"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "q"}]},
                {"role": "assistant", "content": "a"},
            ]
        },
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "context": "", "response": "a", "category": "open_qa"},
        {"prompt": "q", "completion": "a"},
        {"question": "q", "answer": "a"},
        {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]},
    ],
    ids=["messages", "sharegpt", "mixed", "parts", "alpaca", "dolly", "completion", "question", "trl"],
)
def test_known_formats(row: dict[str, Any]) -> None:
    assert turns(row) == [("user", "q"), ("assistant", "a")]


def test_context_goes_under_the_question() -> None:
    assert turns({"instruction": "q", "context": "c", "response": "a"})[0] == ("user", "q\n\nc")
    assert turns({"instruction": "q", "input": "i", "output": "a"})[0] == ("user", "q\n\ni")


def test_columns_by_template() -> None:
    columns = Columns(prompt="{context.contexts}\n\nQ: {{question}}", answer="{yes}", system="Be brief.")
    row = {"context": {"contexts": ["one", "two"]}, "question": "{yes}?", "yes": True}
    assert turns(row, Source(name="x", columns=columns)) == [
        ("system", "Be brief."),
        ("user", "one\ntwo\n\nQ: {yes}?"),  # braces in values mean nothing
        ("assistant", "True"),
    ]


def test_a_system_turn_for_rows_without_one() -> None:
    source = Source(name="x", system="Answer in verse.")
    assert turns({"prompt": "q", "completion": "a"}, source)[0] == ("system", "Answer in verse.")
    own = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"},
        ]
    }
    assert turns(own, source)[0] == ("system", "s")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"body": "plain"}, "no known format; columns are body"),
        ({"messages": []}, "no assistant turn"),
        ({"messages": [{"role": "user", "content": "q"}]}, "no assistant turn"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "do not alternate"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]},
            "empty assistant turn",
        ),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "judge", "content": "x"}]}, "unknown role 'judge'"),
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "a"}]}, "NoneType"),
        ({"messages": ["hello"]}, "a turn is str"),
        ({"prompt": "q", "completion": [3]}, "not one text"),
        ({"conversations": [{"from": "human", "value": "a"}] * 2 + [{"from": "gpt", "value": "b"}]}, "alternate"),
    ],
)
def test_bad_rows_say_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        converted(row, PLAIN)


def test_a_missing_column_is_named_with_those_there() -> None:
    with pytest.raises(BadRow, match=r"'question' is missing or null; columns are answer, q"):
        fill("{question}", {"q": 1, "answer": 2})


def test_an_unanswered_last_question_is_dropped() -> None:
    row = {"messages": [{"role": role, "content": role} for role in ("user", "assistant", "user")]}
    assert [role for role, _ in turns(row)] == ["user", "assistant"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["messages", "conversations", "prompt", "completion", "input"]), JSON, max_size=4)
)
def test_any_json_row_is_a_conversation_or_a_bad_row(row: dict[str, Any]) -> None:
    try:
        messages = converted(row, PLAIN).messages
    except BadRow:
        return
    assert messages[-1]["role"] == "assistant"
    assert all(isinstance(message["content"], str) and message["content"].strip() for message in messages)
