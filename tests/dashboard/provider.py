"""An OpenID Connect provider for the tests: discovery, a page to sign in, codes, tokens signed with a real RSA key.

It does what a provider must refuse, too: a foreign redirect, a wrong client secret, a code used twice, a wrong PKCE
verifier. `forging = True` signs with a key that is not the published one, as somebody in between would have to.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "bakeoff", "known to the two of them"
PERSON = {"sub": "ada", "email": "ada@team.example", "name": "Ada"}


class Handler(BaseHTTPRequestHandler):
    """The endpoints that a login and a logout touch."""

    server: Provider

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, _flat(urlsplit(self.path).query)
        if path == "/.well-known/openid-configuration":
            self._json(self.server.metadata())
        elif path == "/jwks":
            self._json({"keys": [self.server.key.as_dict(private=False)]})
        elif path == "/authorize" and query.get("redirect_uri") == self.server.redirect_uri:
            self._page(f'<a href="/consent?{urlencode(query)}">Sign in as Ada</a>')
        elif path == "/consent" and query.get("redirect_uri") == self.server.redirect_uri:
            code = secrets.token_urlsafe(16)
            self.server.codes[code] = query
            self._redirect(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")
        elif path == "/logout" and query.get("post_logout_redirect_uri") == self.server.redirect_uri:
            self.server.logouts += 1
            self._redirect(query["post_logout_redirect_uri"])
        else:
            self.send_error(400)

    def do_POST(self) -> None:
        form = _flat(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = self.server.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or self._client() != f"{CLIENT}:{SECRET}" or proof != asked.get("code_challenge"):
            self.send_error(400)
            return
        claims = PERSON | {"iss": self.server.url, "aud": CLIENT, "nonce": asked["nonce"], "iat": int(time.time())}
        key = RSAKey.generate_key(2048, {"kid": "ours"}) if self.server.forging else self.server.key
        token = jwt.encode({"alg": "RS256", "kid": "ours"}, claims | {"exp": claims["iat"] + 600}, key)
        self._json({"access_token": "opaque", "token_type": "Bearer", "expires_in": 600, "id_token": token})

    def _client(self) -> str:
        return base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()

    def _json(self, body: dict[str, Any]) -> None:
        self._send("application/json", json.dumps(body))

    def _page(self, body: str) -> None:
        self._send("text/html", f"<!doctype html><title>Provider</title>{body}")

    def _send(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class Provider(ThreadingHTTPServer):
    """`with Provider() as provider:` answers at `provider.url`; set `redirect_uri` before somebody signs in."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "ours"})
        self.redirect_uri = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.logouts = 0
        self.forging = False

    def metadata(self) -> dict[str, Any]:
        """What the discovery document says."""
        places = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "jwks",
            "end_session_endpoint": "logout",
        }
        return {name: f"{self.url}/{path}" for name, path in places.items()} | {
            "issuer": self.url,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        }

    def __enter__(self) -> Provider:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()


def _flat(query: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(query).items()}
