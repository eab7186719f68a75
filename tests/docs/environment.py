"""docs/reference/environment.md: every environment variable that the code reads, and which file does.

The words are here, the names and files are the code's: one that is read and not described, or described and not read,
fails `tests/docs/test_reference_pages.py`. Write it anew: make docs
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from tests.docs.names import ROOMS, ROOT, trees

HEAD = """# Environment variables

None is needed. Secrets are read from here alone: no experiment file, store or page holds one. Written from the code by
`make docs`.
"""
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Where things are": {
        "BAKEOFF_WORKSPACE": "Folder of the store, checkpoints and artifacts. Default: `./workspace`.",
        "BAKEOFF_DATABASE_URL": "The store of a team: `postgresql+psycopg://user:password@host/name` or "
        "`sqlite:///path`. Default: `results.db` in the workspace.",
        "BAKEOFF_ARTIFACTS": "Folder or fsspec URL to which `bakeoff store upload` copies models' files, for machines "
        "that share a store. Default: `artifacts` in the workspace.",
        "BAKEOFF_CACHE": "What can be made again: unpacked GGUF files, pages' chat. Default: in XDG_CACHE_HOME.",
        "XDG_CACHE_HOME": "The user's caches, where there is no BAKEOFF_CACHE. Default: `~/.cache`.",
        "HUMANEVAL_OVERRIDE_PATH": "File of HumanEval+, as EvalPlus has it.",
        "MBPP_OVERRIDE_PATH": "File of MBPP+, as EvalPlus has it.",
        "HF_HOME": "The Hub's folder; its cache is looked through for benchmarks' files.",
        "HF_HUB_CACHE": "The Hub's cache itself. Default: `hub` in HF_HOME.",
        "OLLAMA_MODELS": "Ollama's folder of models, for `bakeoff add ollama:NAME`. Default: where Ollama has it.",
        "TMPDIR": "Temporary files, checked before long work begins; TEMP and TMP alike.",
    },
    "How it computes": {
        "BAKEOFF_DEVICE": "`cpu`, `cuda`, `cuda:N` or `mps`. Default: every GPU that torch sees, else the CPU.",
        "BAKEOFF_DECODER": "How transformers models answer: `batched` (on CPUs) or `generate_batch` (on GPUs).",
        "CUDA_VISIBLE_DEVICES": "Which GPUs there are, as everywhere; empty or -1 hides all.",
        "HF_HUB_OFFLINE": "1: the Hub is not asked; what its cache has is taken.",
        "HF_DATASETS_OFFLINE": "1: the same for data sets.",
    },
    "Who may, and who asks": {
        "BAKEOFF_API_KEY": "The key that requests to `bakeoff serve` must carry, instead of `--api-key`, which others "
        "can read.",
        "BAKEOFF_AUTHOR": "Who a frozen decision is by. Default: the user's name on the machine.",
        "OPENAI_API_KEY": "The key of OpenAI-compatible endpoints that are added, measured or asked as judges.",
        "NPM_CONFIG_REGISTRY": "Where `bakeoff publish --chat` fetches wllama from. Default: npm's own registry.",
    },
    "Over a Ray cluster": {
        "RAY_AUTH_MODE": "`token`: needed for a cluster off this machine. `--ray local` sets it.",
        "RAY_USAGE_STATS_ENABLED": "Set to 0 unless you set it: nothing is sent to Ray's makers.",
        "RAY_worker_niceness": "Set to 0 unless you set it: Ray's workers have the priority of what started them.",
    },
    "Between Bakeoff's own processes": {
        "BAKEOFF_SERVE_URL": "Where the dashboard finds the model server. With `--no-serve` it may name one elsewhere.",
        "BAKEOFF_SERVE_KEY": "That server's key.",
        "BAKEOFF_SERVE_BELL": "Not for people: the pipe by which a page asks for a new model server.",
        "BAKEOFF_LIFELINE": "Not for people: the pipe that ends a process when its starter ends.",
    },
}  # fmt: skip
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*_[A-Za-z0-9_]+|TMPDIR")
ANYWHERE = re.compile(r"BAKEOFF_[A-Z_]+|[A-Z]+(?:_[A-Z]+)*_(?:OFFLINE|OVERRIDE_PATH)|TMPDIR")
"""What is a variable's name wherever it stands as a text of its own."""
OF_LIBRARIES: Mapping[str, str] = {
    "HF_TOKEN": "huggingface_hub: a token that may read gated models, or write where `bakeoff push` pushes.",
    "HF_ENDPOINT": "huggingface_hub: a mirror of the Hub.",
    "STREAMLIT_SERVER_ALLOWED_HOSTS": "Streamlit: the names by which a proxy reaches the dashboard.",
    "OMP_NUM_THREADS": "torch: threads on a CPU.",
    "RAY_AUTH_TOKEN": "Ray: the cluster's token, where it is not in a file.",
}


def page() -> str:
    """The whole document."""
    found, lines = read(), [HEAD]
    for heading, words in SECTIONS.items():
        lines += [f"## {heading}\n", "| variable | what it is | read in |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {said} | {', '.join(f'`{one}`' for one in found.get(name, ()))} |"
            for name, said in words.items()
        ]
        lines.append("")
    lines += ["## Read by libraries\n", "| variable | by, and what it is |", "|---|---|"]
    return "\n".join((*lines, *(f"| `{name}` | {said} |" for name, said in OF_LIBRARIES.items()), ""))


def described() -> set[str]:
    """The variables that the page has words for."""
    return {name for words in SECTIONS.values() for name in words}


def read() -> dict[str, list[str]]:
    """Variable → the files that read or set it, by their paths from the root."""
    found: dict[str, list[str]] = {}
    for path, tree in trees(*ROOMS):
        for name in sorted(_named(tree)):
            found.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return found


def _named(tree: ast.Module) -> set[str]:
    """Names of variables in a module: where the environment is asked for them, ours also elsewhere."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    asked = [one for node in ast.walk(tree) for one in _asked(node)]
    asked += [constants[one.id] for one in asked if isinstance(one, ast.Name) and one.id in constants]
    texts = {one.value for part in asked for one in ast.walk(part) if isinstance(one, ast.Constant)}
    anywhere = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {str(one) for one in texts if isinstance(one, str) and VARIABLE.fullmatch(one)} | {
        str(one) for one in anywhere if isinstance(one, str) and ANYWHERE.fullmatch(one)
    }


def _asked(node: ast.AST) -> Iterator[ast.expr]:
    """What the environment is asked for: `os.environ[this]`, `.get(this)`, `this in os.environ`."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        yield node.slice
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("os.environ.") and node.args:
        yield node.args[0]
    if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "os.environ":
        yield node.left
