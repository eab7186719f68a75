"""wllama, llama.cpp as WebAssembly: fetched from npm once into the cache, pinned by version and digest.

Nothing of it is run on this machine; a page that chats takes three of its files along.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from pathlib import Path

import httpx

from dashboard.errors import PageRefused
from results import open_plain

VERSION = "3.13.0"
SHA512 = "ZvoRdQAn+E+18EvQ9qS036gudiI9rbZRBJgG/qNICPPwrA0Y6SMMdbziz/j7K/0WxcbJlhaRraVIYsnEy732NA=="
"""Digest of the package as npm states it (`npm view @wllama/wllama@3.13.0 dist.integrity`)."""
REGISTRY = "https://registry.npmjs.org"
SECONDS = 60
MOST_BYTES = 64 << 20
LIBRARY, WASM, LICENCE = "package/esm/index.min.js", "package/esm/wasm/wllama.wasm", "package/LICENCE"


def wllama(cache: Path) -> dict[str, bytes]:
    """The package's three files by their names in it, from the cache or from npm.

    Raises: PageRefused in one line where it is not in the cache and cannot be fetched, or is another package.
    """
    kept = cache / f"wllama-wllama-{VERSION}.tgz"  # as `npm pack` calls it
    package = _kept(kept) if kept.is_file() else _fetched(cache)
    if (found := base64.b64encode(hashlib.sha512(package).digest()).decode()) != SHA512:
        where = kept if kept.is_file() else _address()
        raise PageRefused(f"{where} is not wllama {VERSION}: its SHA-512 is {found}. Remove it and try again")
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        part.write_bytes(package)
        part.replace(kept)
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as files:
        return {name: _member(files, name) for name in (LIBRARY, WASM, LICENCE)}


def _kept(path: Path) -> bytes:
    with open_plain(path) as file:  # as it lies there: its digest is that of the packed file
        return file.read(MOST_BYTES)


def _member(files: tarfile.TarFile, name: str) -> bytes:
    member = files.extractfile(name)
    assert member is not None, "the digest is that of a package which has it"
    return member.read()


def _address() -> str:
    return f"{os.environ.get('NPM_CONFIG_REGISTRY', REGISTRY).rstrip('/')}/@wllama/wllama/-/wllama-{VERSION}.tgz"


def _fetched(cache: Path) -> bytes:
    address = _address()
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=SECONDS) as answer:
            answer.raise_for_status()
            pieces, size = [], 0
            for piece in answer.iter_bytes():
                pieces.append(piece)
                if (size := size + len(piece)) > MOST_BYTES:
                    raise PageRefused(f"{address} is larger than wllama {VERSION} is: set NPM_CONFIG_REGISTRY right")
        return b"".join(pieces)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise PageRefused(
            f"The chat needs wllama {VERSION}, which is not in the cache, and {address} cannot be read: {why}. Go "
            f"online once, or put what `npm pack @wllama/wllama@{VERSION}` gives into {cache}; or leave out --chat"
        ) from error
