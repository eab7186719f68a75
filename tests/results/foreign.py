"""Files as other tools write them, small: each written by the tool itself where it is installed, else in its format."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results.importers.trainings.tensorboard_events import masked_crc32c


def trainer_state(steps: int = 6, planned: int = 6, ended: bool = True, **fields: Any) -> dict[str, Any]:
    """As transformers 5 writes trainer_state.json: losses each step, an evaluation every third, a summary."""
    history: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        entry = {"epoch": step / planned, "grad_norm": 1.5, "learning_rate": 2e-4, "loss": 3.0 / step, "step": step}
        history.append({**entry, "mean_token_accuracy": 0.5, "num_tokens": 100.0 * step})
        if step % 3 == 0:
            history.append({"epoch": step / planned, "eval_loss": 3.5 / step, "eval_runtime": 0.1, "step": step})
    if ended:
        summary = {"train_loss": 1.2, "train_runtime": 9.5, "train_samples_per_second": 4.0, "total_flos": 1e12}
        history.append({"epoch": 1.0, "step": steps, **summary})
    state = {"best_metric": None, "epoch": steps / planned, "global_step": steps, "max_steps": planned}
    return {**state, "log_history": history, "num_train_epochs": 1, "train_batch_size": 4, **fields}


def run_folder(folder: Path, checkpoints: Sequence[int] = (3, 6), planned: int = 6) -> Path:
    """A run folder of TRL: checkpoints with their states, an adapter's configuration, a pickle of arguments."""
    for step in checkpoints:
        place = folder / f"checkpoint-{step}"
        place.mkdir(parents=True)
        (place / "trainer_state.json").write_text(json.dumps(trainer_state(step, planned, ended=False)))
        (place / "training_args.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
        (place / "optimizer.pt").write_bytes(b"PK\x03\x04")
        adapter = {
            "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M",
            "r": 8,
            "lora_alpha": 16,
            "peft_type": "LORA",
        }
        (place / "adapter_config.json").write_text(json.dumps(adapter))
    return folder


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mlflow_folder(folder: Path) -> Path:
    """An MLflow file store with a finished run, as mlflow 3 writes it."""
    run = folder / "123" / "0117558ad5d245d8bebaff8354cb4ebd"
    for name in ("metrics/train", "params", "tags"):
        (run / name).mkdir(parents=True)
    (folder / "123" / "meta.yaml").write_text("experiment_id: '123'\nname: rank search\nlifecycle_stage: active\n")
    meta = "run_id: 0117558ad5d245d8bebaff8354cb4ebd\nrun_name: rank 8/a\nlifecycle_stage: active\nstatus: 3\n"
    (run / "meta.yaml").write_text(meta + "start_time: 1795309657437\nend_time: 1795309657455\n")
    (run / "metrics" / "train" / "loss").write_text("1795309657448 3.0 1\n1795309657449 1.5 2\n")
    (run / "metrics" / "eval_loss").write_text("1795309657453 nan 2\n")
    (run / "metrics" / "grad norm").write_text("1795309657454 inf 2\n")
    (run / "params" / "lora_rank").write_text("8")
    (run / "params" / "base_model").write_text("SmolLM2")
    (run / "tags" / "mlflow.runName").write_text("rank 8/a")
    (run / "tags" / "team").write_text("x")
    return folder


def mlflow_sqlite(path: Path) -> Path:
    """The same run in MLflow's SQL tables."""
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE experiments (experiment_id INTEGER, name VARCHAR(256));
            CREATE TABLE runs (run_uuid VARCHAR(32), name VARCHAR(250), status VARCHAR(9),
                start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER);
            CREATE TABLE metrics ("key" VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT,
                is_nan BOOLEAN);
            CREATE TABLE params ("key" VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
            CREATE TABLE tags ("key" VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
            INSERT INTO experiments VALUES (1, 'rank search');
            INSERT INTO runs VALUES ('0117558ad5d245d8bebaff8354cb4ebd', 'rank 8/a', 'FINISHED', 1795309657437,
                1795309657455, 'active', 1), ('dead', 'deleted one', 'FAILED', 1, 2, 'deleted', 1);
            INSERT INTO metrics VALUES ('train/loss', 3.0, 1, '0117558ad5d245d8bebaff8354cb4ebd', 1, 0),
                ('train/loss', 9.9, 1, '0117558ad5d245d8bebaff8354cb4ebd', 2, 0),
                ('train/loss', 1.5, 2, '0117558ad5d245d8bebaff8354cb4ebd', 2, 0),
                ('eval_loss', 0.0, 3, '0117558ad5d245d8bebaff8354cb4ebd', 2, 1),
                ('grad norm', 1.7976931348623157e308, 4, '0117558ad5d245d8bebaff8354cb4ebd', 2, 0);
            INSERT INTO params VALUES ('lora_rank', '8', '0117558ad5d245d8bebaff8354cb4ebd'),
                ('base_model', 'SmolLM2', '0117558ad5d245d8bebaff8354cb4ebd');
            INSERT INTO tags VALUES ('team', 'x', '0117558ad5d245d8bebaff8354cb4ebd');
        """)
    connection.close()
    return path


def trackio_sqlite(path: Path, with_ids: bool = True) -> Path:
    """A Trackio project: by run id as since 0.20, or by name as before; NaN and infinity are words there."""
    with sqlite3.connect(path) as connection:
        identity = "run_id TEXT, " if with_ids else ""
        connection.execute(
            f"CREATE TABLE metrics (id INTEGER PRIMARY KEY, {identity}timestamp TEXT, run_name TEXT, step INTEGER,"
            " metrics TEXT)"
        )
        connection.execute(f"CREATE TABLE configs (id INTEGER PRIMARY KEY, {identity}run_name TEXT, config TEXT)")
        for step, values in enumerate(('{"train/loss":3.0}', '{"train/loss":"NaN"}', '{"train/loss":"-Infinity"}')):
            row = ("2026-11-22T01:07:45+00:00", "run-one", step, values.encode())
            marks = ("abc", *row) if with_ids else row
            connection.execute(f"INSERT INTO metrics VALUES (NULL, {', '.join('?' * len(marks))})", marks)
        config = ("run-one", b'{"lr": 0.0002, "nested": {"rank": 8}, "_Username": null}')
        marks = ("abc", *config) if with_ids else config
        connection.execute(f"INSERT INTO configs VALUES (NULL, {', '.join('?' * len(marks))})", marks)
    connection.close()
    return path


def frame(data: bytes, length: int | None = None) -> bytes:
    """A TFRecord frame, its length true or not."""
    head = struct.pack("<Q", len(data) if length is None else length)
    return head + struct.pack("<I", masked_crc32c(head)) + data + struct.pack("<I", masked_crc32c(data))


def varint(value: int) -> bytes:
    """Protobuf's number of any size."""
    rest = value >> 7
    return bytes([value & 0x7F]) if not rest else bytes([value & 0x7F | 0x80]) + varint(rest)


def part(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def events(
    path: Path, points: Sequence[tuple[str, int, float]], at: float, arguments: Mapping[str, Any] | None = None
) -> Path:
    """A TensorBoard event file: (tag, step, value), a second each from `at`; arguments as Trainer writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = []
    if arguments is not None:
        tensor = varint(1 << 3) + varint(7) + part(8, json.dumps(arguments).encode())
        value = part(1, b"args/text_summary") + part(8, tensor)
        frames.append(b"\x09" + struct.pack("<d", at) + part(5, part(1, value)))
    for number, (tag, step, scalar) in enumerate(points):
        value = part(1, tag.encode()) + b"\x15" + struct.pack("<f", scalar)
        frames.append(b"\x09" + struct.pack("<d", at + number) + b"\x10" + varint(step) + part(5, part(1, value)))
    path.write_bytes(b"".join(map(frame, frames)))
    return path


LLAMA_BENCH = {
    "build_commit": "8cf427ff", "build_number": 5163, "cpu_info": "AMD EPYC", "gpu_info": "", "backends": "CPU",
    "model_filename": "models/smollm2-135m-Q8_0.gguf", "model_type": "llama ?B Q8_0", "model_size": 143_000_000,
    "model_n_params": 134_515_008, "n_batch": 2048, "n_ubatch": 512, "n_threads": 2, "type_k": "f16", "type_v": "f16",
    "n_gpu_layers": 0, "flash_attn": False, "n_prompt": 512, "n_gen": 0, "n_depth": 0,
    "test_time": "2026-04-24T11:58:50Z",
    "avg_ns": 1_000_000_000, "stddev_ns": 10, "avg_ts": 512.0, "stddev_ts": 3.0,
    "samples_ns": [1_010_000_000, 1_000_000_000, 990_000_000], "samples_ts": [506.9, 512.0, 517.2],
}  # fmt: skip

HARNESS_3 = {
    "results": {"arc_easy": {"acc": 0.4, "acc_stderr": 0.01, "acc_norm": 0.41, "acc_norm_stderr": 0.01}},
    "versions": {"arc_easy": 0},
    "config": {
        "model": "hf-causal",
        "model_args": "pretrained=EleutherAI/pythia-160m,revision=step1",
        "num_fewshot": 0,
    },
}

HARNESS_4 = {
    "results": {
        "arc_easy": {"alias": "arc_easy", "acc,none": 0.4, "acc_stderr,none": 0.01, "acc_norm,none": 0.41,
                     "acc_norm_stderr,none": "N/A"},
        "gsm8k": {"exact_match,strict-match": 0.2, "exact_match_stderr,strict-match": 0.01,
                  "exact_match,flexible-extract": 0.25},
        "humaneval": {"pass@1,create_test": 0.3, "pass@1_stderr,create_test": 0.036},
    },
    "configs": {}, "versions": {"arc_easy": 1.0}, "n-shot": {"arc_easy": 0, "gsm8k": 5},
    "n-samples": {"arc_easy": {"original": 2376, "effective": 2376}, "humaneval": {"original": 164, "effective": 164}},
    "config": {"model": "hf", "model_args": {"pretrained": "Qwen/Qwen2.5-0.5B", "peft": "out/adapter"}, "limit": None},
    "git_hash": "abc", "date": 1795309657.4, "model_name": "Qwen/Qwen2.5-0.5B",
}  # fmt: skip
