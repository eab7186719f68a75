"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .analysis.comparison import (
    compare as compare,
    contrast_counts as contrast_counts,
    formats_compared as formats_compared,
)
from .analysis.deciding.contest import Contest as Contest, contest as contest
from .analysis.deciding.decision import decide as decide, decide_counts as decide_counts
from .analysis.durations import duration as duration, seconds_to_measure as seconds_to_measure
from .analysis.findings import (
    EVERYTHING as EVERYTHING,
    MARGIN as MARGIN,
    Beside as Beside,
    Candidate as Candidate,
    Change as Change,
    Comparison as Comparison,
    Contrast as Contrast,
    Decision as Decision,
    Figure as Figure,
    LatencyRatio as LatencyRatio,
    Limit as Limit,
    Limits as Limits,
    Question as Question,
    Tie as Tie,
)
from .analysis.form_costs import FormCost as FormCost, form_costs as form_costs
from .analysis.deciding.freezing import (
    Finding as Finding,
    Recheck as Recheck,
    find_record as find_record,
    freeze as freeze,
    recheck as recheck,
    whoever as whoever,
)
from .analysis.groups import grouped_interval as grouped_interval
from .analysis.makers_settings import (
    LEFT_OUT as LEFT_OUT,
    left_out_words as left_out_words,
    makers_settings as makers_settings,
    settings_words as settings_words,
)
from .analysis.measurements import contaminated_items as contaminated_items, engine_words as engine_words
from .schema.judged import (
    calibration_label as calibration_label,
    judge_of as judge_of,
    judge_sentences as judge_sentences,
    judged_name as judged_name,
    shown_subset as shown_subset,
    test_of as test_of,
)
from .analysis.racing.betting import raced_scores as raced_scores
from .analysis.racing.entry import RaceEntry as RaceEntry
from .analysis.racing.rule import stand as stand
from .analysis.racing.standing import Departure as Departure, RaceStanding as RaceStanding, RaceTerms as RaceTerms
from .analysis.deciding.raced_words import (
    departure_text as departure_text,
    end_text as end_text,
    standing_text as standing_text,
)
from .analysis.calibration import (
    Calibration as Calibration,
    calibrated as calibrated,
    corrected_preference as corrected_preference,
    corrected_share as corrected_share,
    vote_calibration as vote_calibration,
)
from .analysis.ratings import (
    PairRating as PairRating,
    Rating as Rating,
    Ratings as Ratings,
    rate as rate,
    uncertain_pairs as uncertain_pairs,
)
from .analysis.deciding.question import contenders as contenders, experiments as experiments, measures_of as measures_of
from .analysis.deciding.terms import SIZES as SIZES
from .analysis.deciding.recommendation import (
    decision_markdown as decision_markdown,
    question_text as question_text,
    standing as standing,
)
from .analysis.deciding.scoreboard import (
    Scored as Scored,
    own_scores as own_scores,
    scored as scored,
)
from .analysis.snapshot import Reading as Reading
from .analysis.deciding.tags import TagContrast as TagContrast, contrasts_by_tag as contrasts_by_tag
from .analysis.wording import (
    comparison_markdown as comparison_markdown,
    verdict as verdict,
)
from .artifacts import Artifacts as Artifacts
from .curves.curves import CurveOverview as CurveOverview
from .curves.writer import CurveWriter as CurveWriter
from .errors import (
    BakeoffError as BakeoffError,
    FileUnreadable as FileUnreadable,
    Immutable as Immutable,
    ImportRefused as ImportRefused,
    NameTaken as NameTaken,
    NotFound as NotFound,
    StoreBusy as StoreBusy,
    StoreError as StoreError,
    StoreTooNew as StoreTooNew,
)
from .export import FORMATS as FORMATS, answer_lines as answer_lines, export_table as export_table, neutral as neutral
from .files.documents import json_lines as json_lines, read_json as read_json, read_yaml as read_yaml
from .files.locks import lock_is_held as lock_is_held, take_lock as take_lock, wait_for_lock as wait_for_lock
from .files.making import making as making
from .files.parquet import parquet_batches as parquet_batches
from .files.reading import (
    LARGEST_BYTES as LARGEST_BYTES,
    below as below,
    file_start as file_start,
    is_there as is_there,
    leads_out as leads_out,
    open_file as open_file,
    open_plain as open_plain,
    read_bytes as read_bytes,
    read_text as read_text,
    text_lines as text_lines,
    text_of as text_of,
)
from .files.values import json_values as json_values, parse_json as parse_json
from .files.yaml_text import safe_yaml as safe_yaml, short_repr as short_repr
from .importers.histories import History as History, bring_history as bring_history
from .store.formats import by_shipping as by_shipping, format_name as format_name
from .importers.scores.completions import (
    ANSWER_FIELDS as ANSWER_FIELDS,
    AnswerKind as AnswerKind,
    AnswerText as AnswerText,
    answer_texts as answer_texts,
    as_openais as as_openais,
    named_model as named_model,
)
from .importers import ImportedItem as ImportedItem, ImportReport as ImportReport, import_path as import_path
from .origins import host_name as host_name, own_origin as own_origin
from .process.belonging import (
    inert as inert,
    quell as quell,
    LIFELINE as LIFELINE,
    end_with_starter as end_with_starter,
    silence_hung_up as silence_hung_up,
)
from .published import (
    decide_published as decide_published,
    load_published as load_published,
    read_published as read_published,
)
from .records import (
    DecisionRecord as DecisionRecord,
    Evaluation as Evaluation,
    Form as Form,
    Json as Json,
    Machine as Machine,
    Model as Model,
    Origin as Origin,
    Outcome as Outcome,
    Point as Point,
    Progress as Progress,
    PublishedResult as PublishedResult,
    PLACE as PLACE,
    RETRIES as RETRIES,
    Report as Report,
    Run as Run,
    RunStatus as RunStatus,
    RunSummary as RunSummary,
    Score as Score,
    ScoreRow as ScoreRow,
    Verdict as Verdict,
    Vote as Vote,
    Winner as Winner,
    digest as digest,
    now as now,
    percent as percent,
)
from .shortages import (
    EXTRAS as EXTRAS,
    disk_full as disk_full,
    memory_out as memory_out,
    needs as needs,
    shortage as shortage,
)
from .store.machines import this_machine as this_machine
from .store.merge import MergeReport as MergeReport, merge as merge
from .store.store import Store as Store
from .process.systems import (
    HANG_UP as HANG_UP,
    KILLED as KILLED,
    bound_memory as bound_memory,
    leave_no_core as leave_no_core,
    load_average as load_average,
    missing as missing,
    peak_rss_bytes as peak_rss_bytes,
    processors as processors,
    system as system,
)
from .workspace import Workspace as Workspace
