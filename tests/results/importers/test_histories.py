"""The training behind a model that was made elsewhere: its settings by one name in every tool, its curve, one run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from results import Store, bring_history, import_path
from results.importers.trainings.settings import settings_beside
from tests.results import foreign

ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "acme/base", "r": 16, "lora_alpha": 32, "use_rslora": True}

TRAINER_CARD = """---
base_model: acme/base
datasets: [acme/rows]
tags: [generated_from_trainer, {tag}]
---
# my-lora
### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 0.0002
- train_batch_size: 2
- gradient_accumulation_steps: 4
- seed: 7
- lr_scheduler_type: cosine
- num_epochs: 3

### Training results

| Training Loss | Epoch | Step | Validation Loss |
|:-------------:|:-----:|:----:|:---------------:|
| 1.5           | 1.0   | 10   | 1.7             |
| No log        | 2.0   | 20   | 1.6             |
"""

AXOLOTL_CARD = """---
library_name: peft
tags: [axolotl]
---
<details><summary>See axolotl config</summary>

axolotl version: `0.9.2`
```yaml
base_model: acme/base
datasets:
  - path: acme/rows
    type: chat_template
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 3
learning_rate: 0.0002
lr_scheduler: cosine
seed: 7
lora_r: 16
```
</details>
"""

LLAMA_FACTORY = """model_name_or_path: acme/base
dataset: acme/rows
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
num_train_epochs: 3
learning_rate: 0.0002
lr_scheduler_type: cosine
seed: 7
"""

SAME = {
    "training.batch_size": 2, "training.gradient_accumulation": 4, "training.epochs": 3, "training.seed": 7,
    "training.learning_rate": 2e-4, "training.schedule": "cosine", "lora.rank": 16, "lora.rslora": True,
}  # fmt: skip


def made(folder: Path, tool: str) -> Path:
    """An adapter's folder as a tool leaves it; no weights, which nobody here reads."""
    folder.mkdir(parents=True)
    mark = {"auto_mapping": {"unsloth_fixed": True}} if tool == "Unsloth" else {}
    (folder / "adapter_config.json").write_text(json.dumps({**ADAPTER, **mark}))
    (folder / "training_args.bin").write_bytes(b"\x80\x04never read")
    if tool == "LLaMA-Factory":
        (folder / "training_args.yaml").write_text(LLAMA_FACTORY)
    else:
        (folder / "README.md").write_text(
            AXOLOTL_CARD if tool == "Axolotl" else TRAINER_CARD.replace("{tag}", tool.lower())
        )
    return folder


@pytest.mark.parametrize("tool", ["TRL", "Unsloth", "Axolotl", "LLaMA-Factory"])
def test_settings_have_one_name_whatever_tool_wrote_them(tool: str, tmp_path: Path) -> None:
    found = settings_beside(made(tmp_path / "lora", tool))
    assert found.config | SAME == found.config, {key: found.config.get(key) for key in SAME}
    assert (found.tool, found.base, found.missing) == (tool, "acme/base", [])
    assert found.config["data.sources"] in ("acme/rows", ["acme/rows"])


def test_a_training_of_which_only_the_readme_is_left_has_its_few_points(store: Store, tmp_path: Path) -> None:
    found = bring_history(made(tmp_path / "lora", "TRL"), store, "my-lora")
    assert found is not None and found.points == 3
    run = store.runs.get(found.run_id)
    assert (run.name, run.origin, run.status, run.base) == ("my-lora", "imported", "finished", "acme/base")
    assert store.curves.read(run.id, "validation_loss")[1].tolist() == [1.7, 1.6]
    assert "few points" in found.missing[0]


def test_weights_of_which_nothing_is_said_have_no_history(store: Store, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n\nIt answers.\n")
    assert bring_history(tmp_path, store) is None
    assert store.runs.list() == []


@pytest.mark.parametrize("inside", [".", "checkpoint-3", "merged"])
def test_a_checkpoint_s_history_is_its_run_s(inside: str, store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "outputs" / "rank8")
    (folder / inside).mkdir(exist_ok=True)
    found = bring_history(folder / inside, store, "rank8-best")
    assert found is not None
    assert len(store.curves.read(found.run_id, "loss")[0]) == 6
    assert store.runs.get(found.run_id).name == "rank8-best"
    again = import_path(folder, store)
    assert [(item.id, item.new) for item in again.items] == [(found.run_id, False)]
    assert len(store.runs.list()) == 1


def test_looking_writes_nothing(store: Store, tmp_path: Path) -> None:
    found = bring_history(foreign.run_folder(tmp_path / "rank8"), store, "it", dry_run=True)
    assert found is not None and found.new and found.points
    assert store.runs.list() == []


def test_a_run_that_was_imported_with_fewer_settings_is_known_again(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8")
    (item,) = import_path(folder, store).items
    run = store.runs.get(item.id)
    # as a Bakeoff of before had it: other names, and no more than the adapter's
    before = {"lora.r": run.config["lora.rank"], "num_train_epochs": run.config["training.epochs"]}
    report = store.reports.get(run.id, "import")
    assert report is not None
    with Store(f"sqlite:///{tmp_path / 'before.db'}") as old:
        old.runs.add(dataclasses.replace(run, config=before), _points(store, run.id))
        old.reports.put(dataclasses.replace(report, payload={**report.payload, "content": "of then"}))
        (again,) = import_path(folder, old).items
        assert (again.id, again.new, len(old.runs.list())) == (run.id, False, 1)
        (folder / "README.md").write_text(TRAINER_CARD)
        (told,) = import_path(folder, old).items
        assert (told.id, told.new) == (run.id, False), "a README that was put beside it makes no other run"
        file = folder / "checkpoint-6" / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "r": 64}))
        (other,) = import_path(folder, old).items
        assert other.new, "another rank is another run"


def _points(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    return [
        (metric, int(step), float(value))
        for metric in store.curves.metrics(run_id)
        for step, value in zip(*store.curves.read(run_id, metric), strict=True)
    ]
