"""How steps are divided to fit memory, rows handed to another process, and validation's own batches."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from trainer.data.examples import Example
from trainer.errors import CheckpointInvalid
from trainer.gpu_runs import handover
from trainer.runs import checkpoints
from trainer.trl_loop import validation
from trainer.trl_loop.division import Division, out_of_memory


def test_a_division_is_halved_until_one_row_then_recomputes_then_has_nothing_left() -> None:
    tried = [Division(4, 2, False)]
    while smaller := tried[-1].smaller():
        tried.append(smaller)
    assert tried == [Division(4, 2, False), Division(2, 4, False), Division(1, 8, False), Division(1, 8, True)]
    assert len({division.rows * division.passes for division in tried}) == 1, "always the same rows a step"


@pytest.mark.parametrize(
    ("division", "fitting", "smaller"),
    [
        (Division(6, 1, False), None, Division(3, 2, False)),
        (Division(5, 2, False), None, Division(2, 5, False)),
        (Division(7, 1, True), None, Division(1, 7, True)),
        (Division(8, 1, False), 1, Division(1, 8, False)),
        (Division(8, 1, False), 0, Division(1, 8, True)),
        (Division(4, 1, False), 3, Division(2, 2, False)),
        (Division(2, 1, False, may_recompute=False), 1, Division(1, 2, False, may_recompute=False)),
        (Division(1, 2, False, may_recompute=False), None, None),
    ],
)
def test_passes_stay_equal_whatever_the_batch(
    division: Division, fitting: int | None, smaller: Division | None
) -> None:
    assert division.smaller(fitting) == smaller


def test_an_error_that_came_of_missing_memory_is_recognised() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    wrapped = ValueError("loading failed")
    wrapped.__cause__ = RuntimeError("CUDA error: out of memory")
    assert out_of_memory(wrapped)
    assert not out_of_memory(RuntimeError("shapes do not fit"))
    assert not out_of_memory(OSError(errno.ENOSPC, "disk"))


def test_rows_come_to_another_process_as_they_are(tmp_path: Path) -> None:
    parts = (
        [Example([1, 2, 3], [-100, 2, 3], 7, 0), Example([9], [-100], 0, 4)],
        [Example([5, 6], [-100, 6], 2, 1)],
    )
    with handover.keep(*parts, tmp_path) as file:
        assert list(tmp_path.iterdir()) == [], "a kill leaves nothing behind"
        assert [list(part) for part in handover.take(file.fileno())] == list(parts)
        code = "import sys; from trainer.gpu_runs.handover import take; print(take(int(sys.argv[1]))[1])"
        for _ in range(2):  # each reads from the start
            command = [sys.executable, "-c", code, str(file.fileno())]
            root = Path(__file__).parents[3]
            said = subprocess.run(command, pass_fds=[file.fileno()], capture_output=True, text=True, cwd=root)
            assert said.stdout.strip() == str(tuple(parts[1])), said.stderr


def test_a_lock_is_held_until_its_last_heir_is_gone(tmp_path: Path) -> None:
    with checkpoints.lock(tmp_path) as file:
        heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[file.fileno()])
    (tmp_path / "lock").write_text(str(os.getpid()))
    with pytest.raises(CheckpointInvalid, match=f"another process \\(id {os.getpid()}\\)"), checkpoints.lock(tmp_path):
        pass
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "lock").write_text(str(gone.pid))  # as if its parent had been killed: now it is waited for
    elsewhere = f"{gone.pid} on another-host"  # of whose processes nothing is known here: not waited for
    (tmp_path / "lock").write_text(elsewhere)
    with pytest.raises(CheckpointInvalid, match=f"another process \\(id {elsewhere}\\)"), checkpoints.lock(tmp_path):
        pass
    (tmp_path / "lock").write_text(f"{gone.pid} on {socket.gethostname()}")
    assert heir.stdin is not None
    heir.stdin.close()
    with checkpoints.lock(tmp_path) as file, pytest.raises(BlockingIOError), (tmp_path / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    heir.wait()


def test_validation_batches_hold_every_row_once_within_the_tokens() -> None:
    lengths = [3, 50, 7, 7, 120, 4]
    batches = validation.batches(lengths, 60)
    assert sorted(row for batch in batches for row in batch) == list(range(6))
    assert batches == [[4], [1], [2, 3, 5, 0]]
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= 60


def test_a_validation_pass_is_as_large_as_the_memory_that_is_free() -> None:
    config = SimpleNamespace(hidden_size=2048, intermediate_size=8192)
    sizes = [validation.tokens_of_a_pass(free, config, 2) for free in (1 << 26, 1 << 30, 1 << 37)]
    assert sizes == sorted(sizes) and sizes[0] == validation.LEAST_TOKENS and sizes[-1] == validation.MOST_TOKENS
    assert sizes[1] * (8 * 2048 + 3 * 8192) * 2 < 1 << 29
