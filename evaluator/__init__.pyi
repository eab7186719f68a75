"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .errors import (
    BenchmarkUnreadable as BenchmarkUnreadable,
    IdentityFailed as IdentityFailed,
    ModelUnmeasurable as ModelUnmeasurable,
    SamplesUnreadable as SamplesUnreadable,
    SandboxUnavailable as SandboxUnavailable,
)
from .extraction.extract import Extraction as Extraction, extract_code as extract_code
from .foretelling import (
    Batch as Batch,
    Where as Where,
    export_of as export_of,
    heldout_of as heldout_of,
    humaneval_of as humaneval_of,
    latency_of as latency_of,
    questions_of as questions_of,
    stopping_of as stopping_of,
)
from .humaneval.concluding import rescore as rescore
from .humaneval.evaluate import (
    HumanEvalSettings as HumanEvalSettings,
    evaluate_humaneval as evaluate_humaneval,
    program_test as program_test,
)
from .humaneval.handing_in import Rule as Rule
from .humaneval.rescoring import (
    SampleScores as SampleScores,
    Stored as Stored,
    handed_in as handed_in,
    score_samples as score_samples,
    stored_answers as stored_answers,
    write_results as write_results,
)
from .humaneval.scoring import (
    ScoredAnswer as ScoredAnswer,
    Scorer as Scorer,
    ScoringSettings as ScoringSettings,
    calibrate as calibrate,
    score_answers as score_answers,
)
from .loading.bases import Family as Family, families as families
from .latency.evaluate import LatencySettings as LatencySettings, evaluate_latency as evaluate_latency
from .question_sets.lm_eval_tasks.documents import (
    Documents as Documents,
    document_texts as document_texts,
    request_shown as request_shown,
)
from .question_sets.lm_eval_tasks.evaluate import (
    asked_documents as asked_documents,
    evaluate_tasks as evaluate_tasks,
)
from .question_sets.lm_eval_tasks.finding import Tasks as Tasks, named_tasks as named_tasks
from .question_sets.lm_eval_tasks.installed import is_lm_eval as is_lm_eval
from .question_sets.lm_eval_tasks.settings import (
    HarnessSettings as HarnessSettings,
    harness_settings as harness_settings,
)
from .measuring import (
    choose_models as choose_models,
    measure as measure,
    of_other_files as of_other_files,
    register_endpoint as register_endpoint,
    rescore_stored as rescore_stored,
)
from .question_sets.evaluate import evaluate_questions as evaluate_questions, question_test as question_test
from .question_sets.checking.rubric import JudgeSettings as JudgeSettings
from .question_sets.checking.rules import check_rule as check_rule
from .question_sets.files.held_out import questions_of_rows as questions_of_rows
from .question_sets.files.finding import named_questions as named_questions, question_set as question_set
from .question_sets.items import BadItem as BadItem, Check as Check, Item as Item, QuestionSet as QuestionSet
from .question_sets.files.reading import read_question_set as read_question_set
from .question_sets.files.rows import Wishes as Wishes
from .question_sets.judging.prompts import judge_prompt as judge_prompt
from .question_sets.measured import measured_items as measured_items
from .question_sets.rescoring import (
    Change as Change,
    Rescored as Rescored,
    rescore_questions as rescore_questions,
)
from .question_sets.settings import (
    QuestionSettings as QuestionSettings,
    prompts_like as prompts_like,
    question_settings as question_settings,
    shown as shown,
)
from .racing import Look as Look, Until as Until, race as race
from .sandbox.bubblewrap import sandbox_available as sandbox_available
from .sandbox.limits import Calibration as Calibration, Limits as Limits
from .tasks.benchmarks import load_benchmark as load_benchmark
from .tasks.downloads import download as download
from .tasks.samples import Answer as Answer, read_samples as read_samples, write_samples as write_samples
from .tasks.task import Task as Task
from .text.llm_judge import judge_answers as judge_answers
from .text.perplexity import evaluate_heldout as evaluate_heldout
from .text.stopping import StoppingSettings as StoppingSettings, evaluate_stopping as evaluate_stopping
