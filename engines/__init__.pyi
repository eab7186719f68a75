"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .adding.adding import Added as Added, add as add
from .adding.checking.base_names import four_bit as four_bit
from .adding.checking.bases import Registry as Registry
from .adding.checking.checks import Check as Check
from .adding.found import Found as Found, Kind as Kind
from .adding.checking.inspection import Wishes as Wishes
from .adding.record import Files as Files, endpoint_record as endpoint_record, record as record
from .adding.hub import to_fetch as to_fetch
from .adding.sources import find as find
from .advisor import Advice as Advice, advise as advise
from .demands import DemandingEngine as DemandingEngine, Demands as Demands
from .errors import (
    DeviceUnavailable as DeviceUnavailable,
    EngineBusy as EngineBusy,
    EngineCrashed as EngineCrashed,
    EngineError as EngineError,
    ExportRefused as ExportRefused,
    FileRefused as FileRefused,
)
from .exporting.export import base_in_gguf as base_in_gguf, export as export
from .exporting.possible import why_not as why_not
from .exporting.references import References as References
from .gguf_format.header import is_gguf as is_gguf, read_header as read_header
from .gguf_format.safetensors_header import (
    check_model_folder as check_model_folder,
    read_model_json as read_model_json,
    read_safetensors_header as read_safetensors_header,
)
from .gguf_format.unpacking import cache_folder as cache_folder, silence as silence, unpacked as unpacked
from .gguf_format.vocabulary import gguf_tokenizer as gguf_tokenizer
from .gguf_format.writer import FolderSource as FolderSource, write_model as write_model
from .hardware.bandwidth import memory_bandwidth as memory_bandwidth
from .hardware.devices import (
    BF16_FLAGS as BF16_FLAGS,
    OVERFLOWS as OVERFLOWS,
    Device as Device,
    cpu_flags as cpu_flags,
    free_bytes as free_bytes,
    gpus as gpus,
    this_device as this_device,
    unusable_gpu as unusable_gpu,
)
from .hardware.estimates import (
    EngineName as EngineName,
    Sizes as Sizes,
    engine_of as engine_of,
    export_seconds as export_seconds,
    loading_seconds as loading_seconds,
    reading_seconds as reading_seconds,
    step_seconds as step_seconds,
)
from .hardware.speeds import (
    A100 as A100,
    LISTED as LISTED,
    RTX_4090 as RTX_4090,
    T4 as T4,
    Place as Place,
    of_devices as of_devices,
    places as places,
    this_gpus as this_gpus,
)
from .hardware.torch_threads import own_threads as own_threads
from .huggingface.chat_templates import chat_template as chat_template
from .huggingface.engine import HuggingFaceEngine as HuggingFaceEngine
from .huggingface.likelihoods import Choices as Choices
from .huggingface.memory import give_back as give_back
from .huggingface.requests import Generated as Generated, Request as Request
from .huggingface.turns import after_an_answer as after_an_answer
from .identity import (
    FileChanged as FileChanged,
    adapter_sha256 as adapter_sha256,
    base_sha256 as base_sha256,
    changed_files as changed_files,
    file_sha256 as file_sha256,
    folder_sha256 as folder_sha256,
    model_id as model_id,
    prove as prove,
    require_files as require_files,
)
from .interface import (
    PROBE as PROBE,
    TURNS as TURNS,
    AnswerStream as AnswerStream,
    Chunk as Chunk,
    Completion as Completion,
    CountedStream as CountedStream,
    Engine as Engine,
    FinishReason as FinishReason,
    Likelihood as Likelihood,
    Message as Message,
    Sampling as Sampling,
)
from .llamacpp.builds import CUDA_WHEELS as CUDA_WHEELS, llamacpp_gpus as llamacpp_gpus
from .llamacpp.engine import LlamaCppEngine as LlamaCppEngine
from .llamacpp.scheduler import LEAST_REUSED as LEAST_REUSED
from .llamacpp.server_process import (
    DEFAULT_CONTEXT as DEFAULT_CONTEXT,
    Threading as Threading,
    cache_bytes as cache_bytes,
    expected_bytes as expected_bytes,
)
from .llamacpp.thread_count import calibrated as calibrated
from .llamacpp.turns import after_a_served_answer as after_a_served_answer
from .openai_endpoint import AT_ONCE as AT_ONCE, masked as masked
from .processes.templates import TemplateRefused as TemplateRefused, rendered as rendered
from .opening import open_engine as open_engine, open_engines as open_engines, unserved as unserved
from .server.address import Address as Address
from .server.run import serve as serve
