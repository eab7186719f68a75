"""Models behind an OpenAI-compatible endpoint: http://host/v1#model; without a model, those that it has are listed."""

from __future__ import annotations

import os
import re
from typing import Any

import httpx

from engines.adding.found import Found
from engines.errors import FileRefused
from engines.openai_endpoint import masked

SECONDS = 10.0
"""How long an endpoint may take to say which models it has."""

HUB = re.compile(r"https?://(www\.)?(huggingface\.co|hf\.co)/(?P<repository>[\w.-]+/[\w.-]+)")


def find(source: str) -> list[Found]:
    """The one model that a URL names, or has.

    Raises: FileRefused where it has several, does not say which, or cannot be reached, and for a URL with a password.
    """
    url, _, model = source.partition("#")
    if hub := HUB.match(url):
        raise FileRefused(f"{url} is a page of the Hub. Write: hub:{hub['repository']}")
    if masked(url).rstrip("/") != url.rstrip("/"):
        raise FileRefused(
            f"{masked(url)} is given with a key in it, which would be stored. Put it into OPENAI_API_KEY."
        )
    notes: tuple[str, ...] = ()
    if not model:
        there = listed(url)
        if len(there) != 1:
            some = ", ".join(f"{url}#{one}" for one in there[:20])
            raise FileRefused(f"{url} has {len(there)} models. Name one: {some}" if there else f"{url} has no model.")
        model, notes = there[0], (f"The endpoint has one model, {there[0]}.",)
    name = re.sub(r"[^\w.]+", "-", model).strip("-.") or "model"
    return [Found("endpoint", None, name, f"{url}#{model}", base=model, notes=notes)]


def listed(url: str) -> list[str]:
    """Names of an endpoint's models. Raises: FileRefused where it does not say."""
    key = os.environ.get("OPENAI_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    remedy = f"Name the model: {url}#MODEL"
    try:
        answer = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=SECONDS)
        answer.raise_for_status()
        read: Any = answer.json()
        return [str(one["id"]) for one in read["data"]]
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        why = "set OPENAI_API_KEY to a key that it takes" if code in (401, 403) else "does the URL end in /v1?"
        raise FileRefused(f"{url} does not list its models: it answered {code}; {why}") from error
    except httpx.HTTPError as error:
        raise FileRefused(f"{url} cannot be reached: {' '.join(str(error).split())[:120]}. Is it running?") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileRefused(f"{url} does not list its models as OpenAI's protocol has it. {remedy}") from error
