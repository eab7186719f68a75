"""Add models. Reads: models, jobs. Writes: a job, at a click; the job checks a model and puts it into the store."""

import sys

import streamlit as st

from dashboard import escaping
from dashboard.jobs import jobs
from dashboard.views import chatting, data, kept
from dashboard.widgets import drafts, job_list

SOURCES = """
A folder or file on the dashboard's machine, or a name:

- `./outputs/my-lora` – a PEFT folder, a transformers folder, or a folder above several
- `my-model-Q4_K_M.gguf` – a GGUF file, or the first part of a split one
- `hub:user/repo`, `hub:user/repo@v1`, `hub:user/repo:Q8_0` – from the Hugging Face Hub
- `ollama:my-model` – from Ollama's store on that machine
- `http://host:8000/v1#my-model` – behind an OpenAI-compatible endpoint
"""

st.title("Add models")
st.caption(
    "What was trained with any tool becomes a model like any other: checked first, its files left where they are."
)
source = drafts.field(st.text_input, "Source", "", key="source", placeholder="./outputs/my-lora", help=SOURCES).strip()
bases = sorted({model.name for model in data.models() if model.form == "base"})
with st.popover("Name, base and template", icon=":material/tune:"):
    name = drafts.field(
        st.text_input, "Name", "", key="added-name", placeholder="that of its folder", max_chars=80
    ).strip()
    base = drafts.field(
        st.selectbox, "Base of an adapter", key="added-base", options=bases, accept_new_options=True,
        placeholder="the one that it names",
    )  # fmt: skip
    four_bit = drafts.field(
        st.toggle, "Measure an adapter over its base in 4 bits (nf4), as QLoRA trained it", False, key="added-nf4"
    )
    copy = drafts.field(st.toggle, "Copy the files into the workspace", False, key="added-copy")
    replace = drafts.field(st.toggle, "Archive another model that has the name", False, key="added-replace")
    template = st.file_uploader("Chat template", ["jinja", "txt"], help="Where the model brings none, or a wrong one")
with st.container(horizontal=True):
    check = st.button("Check", icon=":material/fact_check:", disabled=not source, help="Everything, adding nothing")
    add = st.button("Add", icon=":material/add:", type="primary", disabled=not source)
if check or add:
    place = jobs.folder(kept.workspace(), "add", f"{'check' if check else 'add'}-{source.rpartition('/')[2] or source}")
    options = ["--workspace", str(kept.workspace().path), "--yes", *(["--dry-run"] if check else [])]
    options += ["--name", name] if name else []
    options += ["--base", base] if base else []
    options += ["--base-quantization", "nf4"] if four_bit else []
    options += ["--copy"] if copy else []
    options += ["--replace"] if replace else []
    if template is not None:
        (place / "template.jinja").write_bytes(template.getvalue())
        options += ["--template", str(place / "template.jinja")]
    jobs.create(place, [sys.executable, "-m", "bakeoff", "add", *options, "--", source]).start()
job_list.show("add", lines=40)

added = [model for model in reversed(data.models()) if model.details.get("added")]
newest = next(iter(jobs.find(kept.workspace(), "add")), None)
just = [one.name for one in added if newest and one.created_at and one.created_at >= newest.started]
if just:
    every = [one.name for one in data.models()]
    seats = list(reversed(just))[:3] if len(just) > 1 else chatting.seats(every)[:2]
    if st.button(f"Chat with {escaping.label(' and '.join(seats), 120)}", icon=":material/forum:", type="primary"):
        st.switch_page("app_pages/chat.py", query_params=chatting.address(seats))
if added:
    st.subheader("Added")
for model in added[:20]:
    with st.container(horizontal=True, vertical_alignment="center"):
        base = escaping.label(model.base.rstrip("/").rpartition("/")[2], 60)
        where = escaping.label(str(model.details["added"].get("source", "")), 400)
        st.markdown(f"**{escaping.label(model.name)}** · {model.form} of {base}", help=f"From {where}", width="content")
        if st.button("Chat", key=f"chat-{model.id}", icon=":material/forum:"):
            st.switch_page("app_pages/chat.py", query_params={"model1": model.name})
