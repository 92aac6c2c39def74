"""An OIDC provider that lets everybody in as whom /who named last; python -m tests.browser.sign_in_provider PORT."""

from __future__ import annotations

import json
import sys
import time
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlparse

warnings.simplefilter("ignore")
from authlib.jose import JsonWebKey, jwt  # noqa: E402

KEY = JsonWebKey.generate_key("RSA", 2048, {"kid": "one"}, is_private=True)
HERE = f"http://127.0.0.1:{sys.argv[1]}"
asked = {"nonce": "", "mail": ""}
DISCOVERY = {
    "issuer": HERE, "authorization_endpoint": f"{HERE}/auth", "token_endpoint": f"{HERE}/token",
    "jwks_uri": f"{HERE}/keys", "id_token_signing_alg_values_supported": ["RS256"],
    "response_types_supported": ["code"], "subject_types_supported": ["public"],
}  # fmt: skip


class Provider(BaseHTTPRequestHandler):
    def answer(self, value: object) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def do_GET(self) -> None:
        address = urlparse(self.path)
        words = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/auth":
            asked["nonce"] = words.get("nonce", "")
            self.send_response(302)
            back = urlencode({"code": "code", "state": words["state"]})
            self.send_header("location", f"{words['redirect_uri']}?{back}")
            self.end_headers()
        elif address.path == "/who":
            asked["mail"] = words["mail"]
            self.answer({})
        else:
            self.answer({"keys": [KEY.as_dict(is_private=False)]} if address.path == "/keys" else DISCOVERY)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        now = int(time.time())
        told = {
            "iss": HERE, "sub": "1", "aud": "fusescope", "iat": now, "exp": now + 600, "nonce": asked["nonce"],
            "email": asked["mail"], "email_verified": True,
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "one"}, told, KEY).decode()
        self.answer({"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": token})


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
