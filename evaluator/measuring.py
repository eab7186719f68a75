"""Which models are measured by which benchmark: what `bakeoff evaluate` does, for any program.

Not here: the measurements themselves (`evaluator.humaneval.evaluate`, `evaluator.text.perplexity`,
`evaluator.text.stopping`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from engines import EngineError, References, changed_files, endpoint_record, export
from evaluator.errors import ModelUnmeasurable
from evaluator.humaneval.concluding import rescore
from evaluator.humaneval.evaluate import evaluate_humaneval
from evaluator.humaneval.handing_in import Rule
from evaluator.loading.bases import SPOKEN_TO
from evaluator.tasks.benchmarks import benchmark_name, load_benchmark
from evaluator.text.perplexity import Conversation, evaluate_heldout
from evaluator.text.stopping import evaluate_stopping
from results import Evaluation, Form, Model, Progress, Store, Workspace


def choose_models(
    store: Store, workspace: Workspace, names: Sequence[str] = (), forms: Sequence[str] = (), url: str = ""
) -> list[Model]:
    """The named models and, exported where missing, their `forms`; without names all whose weights are here.

    Under a `url` the names are an endpoint's (`register_endpoint`).
    Raises: NotFound, ModelUnmeasurable, ExportRefused, FileRefused.
    """
    if url:
        if not names:
            raise ModelUnmeasurable(f"Which of the models at {url}? Name them as the endpoint does")
        return [register_endpoint(store, name, url) for name in names]
    if names:
        named = [store.models.find(name) for name in names]
        references = References(workspace, named)
        made = [
            export(model, cast("Form", form), workspace, store, references=references)
            for form in forms
            for model in named
        ]
        return list({model.id: model for model in (*named, *made)}.values())
    listed = [model for model in store.models.list() if not model.archived and model.form not in SPOKEN_TO]
    here = [model for model in listed if model.path]  # not what is known from imported results alone
    return [model for model in here if not forms or model.form in forms]


def of_other_files(found: Sequence[Evaluation], store: Store, workspace: Workspace) -> list[str]:
    """Whose figures are of files that have changed since they were measured, a line each model.

    What is measured already is not measured again, so nobody would notice.
    """
    oldest: dict[str, datetime] = {}
    for one in found:
        if one.started_at is not None and one.origin == "measured":
            oldest[one.model_id] = min(one.started_at, oldest.get(one.model_id, one.started_at))
    lines = []
    for id_, moment in oldest.items():
        model = store.models.get(id_)
        if words := changed_files(model, workspace, moment):
            lines.append(f"{model.name}: these figures are of the files that it had then. {words}")
    return lines


def register_endpoint(store: Store, name: str, url: str) -> Model:
    """A model of an OpenAI-compatible endpoint, as a model of the store: its name there and its host.

    Raises: ModelUnmeasurable for what is no http address, or holds a password, which a store must not.
    """
    try:
        return store.models.add(endpoint_record(url, name))
    except EngineError as refused:
        raise ModelUnmeasurable(str(refused)) from refused


def measure(
    models: Sequence[Model],
    benchmark: str,
    store: Store,
    workspace: Workspace,
    settings: Mapping[str, Any],
    rows: Sequence[Conversation] | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Measure by "stopping", by "heldout" (on `rows`), by "humaneval" or by a file of its shape.

    Settings that a benchmark does not have are left out. Raises what the measurement raises.
    """
    if benchmark == "stopping":
        kept = {key: settings[key] for key in ("max_tokens", "engine") if key in settings}
        return evaluate_stopping(models, store, workspace, kept, progress)
    if benchmark == "heldout":
        if settings.get("engine") == "llamacpp":
            raise ModelUnmeasurable("llama.cpp gives no losses of single tokens: held-out loss has no other engine")
        if rows is None:
            raise ModelUnmeasurable("Whose rows are held out? Name the experiment file: --experiment FILE.yaml")
        return evaluate_heldout(models, rows, store, workspace, progress)
    return evaluate_humaneval(models, store, workspace, {**settings, "benchmark": benchmark}, progress)


def rescore_stored(
    models: Sequence[Model],
    benchmark: str,
    store: Store,
    progress: Progress | None = None,
    rule: Rule | None = None,
) -> list[Evaluation]:
    """Run the stored answers of finished evaluations again, and of unscored ones, by one rule (`humaneval.handing_in`);
    imported ones by what `rule` asks for. Raises as `rescore`."""
    tasks = load_benchmark(benchmark)
    name = benchmark_name(benchmark, tasks)
    stored = [one for model in models for one in store.evaluations.list(model_id=model.id, benchmark=name)]
    return [rescore(one.id, store, tasks, progress, rule) for one in stored if one.status in ("finished", "unscored")]
