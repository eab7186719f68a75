"""The shared loop's mathematics against transformers and PEFT, architecture by architecture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainer.data.examples import Example
from trainer.experiment.reading import experiment_of
from trainer.multi_lora.cross_entropy import answer_cross_entropy
from trainer.multi_lora.model import SharedBase, why_alone
from trainer.multi_lora.packing import pack, passes, split_across_cores
from trainer.multi_lora.run_state import save_adapter
from trainer.runs.progress import RunProgress

pytestmark = pytest.mark.slow

Small = Callable[[str], Path]


def model_of(folder: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


def examples(lengths: tuple[int, ...], vocabulary: int = 200) -> list[Example]:
    draws = torch.Generator().manual_seed(1)
    made = []
    for row, length in enumerate(lengths):
        ids = torch.randint(3, vocabulary, (length,), generator=draws).tolist()
        labels = [-100 if place < length // 3 else token for place, token in enumerate(ids)]
        made.append(Example(ids, labels, 5 * length, row))
    return made


def experiment(**lora: object):
    raw = {"name": "t", "bases": ["b"], "data": {"sources": [{"name": "python-stdlib"}]}, "lora": {"rank": 4, **lora}}
    return experiment_of(raw, "test")


def shaken(shared_base: SharedBase, **lora: object):
    """An adapter whose B is not zero, so that it changes something."""
    adapter = shared_base.adapter(experiment(**lora))
    draws = torch.Generator().manual_seed(2)
    for _, b in adapter.pairs.values():
        with torch.no_grad():
            b.copy_(torch.randn(b.shape, generator=draws) * 0.05)
    return adapter


class Only:
    """The least of a trainee that a pass needs: its adapter."""

    def __init__(self, adapter: object) -> None:
        self.adapter = adapter


class Learner(Only):
    """A trainee that keeps its gradient instead of taking a step."""

    def __init__(self, adapter: object) -> None:
        super().__init__(adapter)
        self.progress = RunProgress()

    class order:
        @staticmethod
        def rows(_: int) -> list[int]:
            return [0, 1, 2, 3]

    def update(self) -> tuple[float, float]:
        self.gradient = self.adapter.weights.grad.clone()
        return 0.0, 0.0


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma", "gemma3", "mistral", "phi3"])
def test_loss_and_gradients_are_those_of_peft(small: Small, tmp_path: Path, architecture: str) -> None:
    from peft import PeftModel

    rows = examples((40, 7, 23))
    shared_base = SharedBase(model_of(small(architecture)), rows, rows)
    adapter = shaken(shared_base, dropout=0.0)
    save_adapter(adapter, experiment().lora, "b", tmp_path)
    ((mine, _),) = shared_base.validate([Only(adapter)])  # type: ignore[list-item]

    model = PeftModel.from_pretrained(model_of(small(architecture)), tmp_path, is_trainable=True)
    total, count = torch.zeros(()), 0
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1].float()
        labels = torch.tensor(row.labels[1:])
        total = total + nn.functional.cross_entropy(logits, labels, reduction="sum")
        count += int((labels != -100).sum())
    (total / count).backward()
    assert mine == pytest.approx(total.item() / count, abs=1e-5)

    (batch,) = passes([[0, 1, 2]], shared_base.train.lengths, 1000)
    shared_base._forward(shared_base.train, batch, {0: adapter.own}, [1 / count])[0].backward()  # type: ignore[list-item]
    theirs = dict(model.named_parameters())
    for layer, gradients in adapter.own.gradients.items():
        for part, gradient in zip(("lora_A", "lora_B"), gradients, strict=True):
            reference = theirs[f"base_model.model.{layer}.{part}.default.weight"].grad
            torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)


def test_bf16_rows_attend_as_transformers_do(small: Small) -> None:
    """The hand-written backward of short rows runs in bf16 only; it is held against the fp32 gradients."""
    from trainer.multi_lora.attention import segment_attention
    from trainer.multi_lora.segments import Segment

    draws = torch.Generator().manual_seed(0)
    gradients = []
    inputs = [torch.randn(1, heads, 60, 32, generator=draws) for heads in (4, 2, 2)]
    for dtype in (torch.float32, torch.bfloat16):
        q, k, v = (part.clone().to(dtype).requires_grad_() for part in inputs)
        output, _ = segment_attention(nn.Module(), q, k, v, None, segments=[Segment(0, 40), Segment(40, 60)])
        (output.float() ** 2).sum().backward()
        gradients.append([output.float(), q.grad.float(), k.grad.float(), v.grad.float()])  # type: ignore[union-attr]
    for exact, low in zip(*gradients, strict=True):
        assert (exact - low).norm() / exact.norm() < 0.02


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma3"])
def test_a_beginning_computed_once_gives_the_gradients_of_one_computed_in_each_row(
    small: Small, architecture: str
) -> None:
    rows = [replace(row, input_ids=[*range(3, 23), *row.input_ids]) for row in examples((40, 7, 23))]
    rows = [replace(row, labels=[*[-100] * 20, *row.labels]) for row in rows]
    found = []
    for sharing in ({0}, set()):
        shared_base = SharedBase(model_of(small(architecture)), rows, rows)
        adapter = shaken(shared_base, dropout=0.0)
        adapter.cast(torch.float32)
        (batch,) = passes([[0, 1, 2]], shared_base.train.lengths, 1000)
        packed = pack(shared_base.train, batch, sharing)
        shared_base._routing.spans = [(adapter.own, start, stop) for _, start, stop in packed.spans]
        hidden = shared_base._body(
            input_ids=packed.ids[None], position_ids=packed.positions[None], use_cache=False, segments=packed.segments
        ).last_hidden_state[0]
        total, of_tokens = answer_cross_entropy(hidden, packed.labels, torch.ones(len(packed.ids)), shared_base._head)
        total.backward()  # type: ignore[no-untyped-call]
        assert adapter.weights.grad is not None
        found.append((len(packed.ids), of_tokens, adapter.weights.grad))
    (once, losses, gradient), (each, their_losses, their_gradient) = found
    assert each - once == 2 * 20
    torch.testing.assert_close(losses, their_losses, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-3, atol=1e-5)


def test_rows_see_nothing_of_their_neighbours(small: Small) -> None:
    rows = examples((30, 12))
    shared_base = SharedBase(model_of(small("llama")), rows, rows)
    adapter = shaken(shared_base)
    ((both, _),) = shared_base.validate([Only(adapter)])  # type: ignore[list-item]
    sums = []
    for row in rows:
        shared_base.validation = type(shared_base.validation)([row])
        ((alone, _),) = shared_base.validate([Only(adapter)])  # type: ignore[list-item]
        sums.append(alone * shared_base.validation.trained[0])
    assert both == pytest.approx(sum(sums) / sum(type(shared_base.validation)(rows).trained), abs=1e-6)


def test_adapters_in_one_pass_do_not_touch_each_other(small: Small) -> None:
    rows = examples((30, 12))
    shared_base = SharedBase(model_of(small("llama")), rows, rows)
    one, other = shaken(shared_base, rank=2), shaken(shared_base, rank=8, target="attention")
    alone = [shared_base.validate([Only(adapter)])[0] for adapter in (one, other)]  # type: ignore[list-item]
    both = shared_base.validate([Only(one), Only(other)])  # type: ignore[list-item]
    assert alone[0] != alone[1]
    assert [pytest.approx(value, abs=1e-6) for value in alone] == both


@given(
    st.lists(st.lists(st.integers(1, 400), max_size=6), min_size=1, max_size=6),
    st.integers(1, 5),
)
def test_the_parts_of_cores_hold_every_row_once_and_about_as_many_tokens(runs: list[list[int]], count: int) -> None:
    lengths = [length for of_run in runs for length in of_run]
    starts = [sum(map(len, runs[:number])) for number in range(len(runs))]
    rows = [list(range(start, start + len(of_run))) for start, of_run in zip(starts, runs, strict=True)]
    parts = split_across_cores(rows, lengths, count)
    assert 1 <= len(parts) <= count
    assert [sorted(row for part in parts for row in part[number]) for number in range(len(runs))] == rows
    room, longest = sum(lengths) / count, max(lengths, default=0)
    for part in parts:
        tokens = sum(lengths[row] for of_run in part for row in of_run)
        assert bool(tokens) == bool(lengths) and tokens <= room + (count - 1) * longest


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_rows_on_two_cores_teach_what_they_teach_on_one(small: Small, dropout: float) -> None:
    """Three runs of four rows: one of them is computed on both cores; every time the same, bit for bit."""
    rows = examples((30, 12, 25, 9))
    cores = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            shared_base = SharedBase(model_of(small("llama")), rows, rows, pass_tokens=50)
            made = [shaken(shared_base, rank=rank, dropout=dropout) for rank in (2, 4, 8)]
            trainees = [Learner(adapter) for adapter in made]
            steps = shared_base.step(trainees)  # type: ignore[arg-type]
            assert torch.get_num_threads() == threads
            found.append([(step.loss, learner.gradient) for step, learner in zip(steps, trainees, strict=True)])
    finally:
        torch.set_num_threads(cores)
    for alone, beside, again in zip(*found, strict=True):
        assert beside[0] == again[0]
        assert torch.equal(beside[1], again[1])
        if dropout:
            continue  # another number of cores draws other masks
        assert beside[0] == pytest.approx(alone[0], abs=1e-5)
        torch.testing.assert_close(beside[1], alone[1], rtol=1e-3, atol=1e-6)


def test_what_other_threads_choose_changes_no_bit(small: Small) -> None:
    """torch has one number of threads for the process, which a thread used to take over in the midst of a step."""
    cores, rows, done = torch.get_num_threads(), examples((30, 12, 25, 9)), threading.Event()
    torch.set_num_threads(2)

    def choose() -> None:
        while not done.wait(0.0005):
            torch.set_num_threads(2)

    other = threading.Thread(target=choose)
    other.start()
    try:
        shared_base = SharedBase(model_of(small("llama")), rows, rows, pass_tokens=50)
        found = []
        for _ in range(20):
            trainees = [Learner(shaken(shared_base, rank=rank, dropout=0.0)) for rank in (2, 4, 8)]
            shared_base.step(trainees)  # type: ignore[arg-type]
            found.append(torch.cat([learner.gradient for learner in trainees]))
    finally:
        done.set()
        other.join()
        torch.set_num_threads(cores)
    assert all(torch.equal(one, found[0]) for one in found)


def test_small_passes_change_nothing_but_the_order_of_sums(small: Small) -> None:
    rows = examples((30, 12, 25, 9))
    losses = []
    for limit in (16, 1000):
        shared_base = SharedBase(model_of(small("llama")), rows, rows, pass_tokens=limit)
        losses.append(shared_base.validate([Only(shaken(shared_base))])[0])  # type: ignore[list-item]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_what_cannot_train_together_says_why(small: Small) -> None:
    from transformers import AutoModelForCausalLM

    capped = AutoModelForCausalLM.from_pretrained(small("gemma2"), attn_implementation="eager")
    assert "head" in why_alone(experiment(), capped)
    llama = model_of(small("llama"))
    assert why_alone(experiment(), llama) == ""
    assert "DoRA" in why_alone(experiment(dora=True), llama)
    assert "full" in why_alone(experiment(method="full"), llama)
