"""Tasks of lm-eval as people write them, with rows beside them."""

from __future__ import annotations

import json
from pathlib import Path

CHOSEN = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: colours.jsonl}
test_split: train
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{ answer }}"
doc_to_choice: ["red", "blue", "yellow and green"]
"""

SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: sums.jsonl}
test_split: train
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{ answer }}"
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 12}
filter_list:
- name: number
  filter: [{function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""

NEXT = """
task: next
dataset_path: json
dataset_kwargs: {data_files: sums.jsonl}
test_split: train
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: " {{ answer }}"
"""

WHOLE = """
task: whole
dataset_path: json
dataset_kwargs: {data_files: sums.jsonl}
test_split: train
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
"""

COLOURS = [
    {"question": f"What colour has {thing}?", "answer": answer}
    for thing, answer in (("a rose", 0), ("the sea", 1), ("a parrot", 2), ("blood", 0), ("the sky", 1), ("a lime", 2))
]
ADDED = [{"question": f"What is {a} and {b}?", "answer": str(a + b)} for a, b in ((1, 2), (3, 4), (5, 6), (7, 8))]


def written(folder: Path) -> Path:
    """The folder with the tasks and their rows in it."""
    for name, yaml in (("colours", CHOSEN), ("sums", SUMS), ("next", NEXT), ("whole", WHOLE)):
        (folder / f"{name}.yaml").write_text(yaml)
    for name, rows in (("colours", COLOURS), ("sums", ADDED)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
