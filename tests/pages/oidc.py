"""A provider of OpenID Connect for the tests: it logs everybody in as whom they say they are."""

import base64
import contextlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "masks", "known to both"


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *values):
        pass


class Provider:
    """Serves discovery, login page, tokens and keys; ``people`` are the claims of those who can log in."""

    def __init__(self, people: dict[str, dict]):
        self.people, self.codes, self.url = people, {}, ""
        self.key = RSAKey.generate_key(2048, parameters={"kid": "test", "use": "sig", "alg": "RS256"})

    def __call__(self, environ, start_response):
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        path = environ["PATH_INFO"]
        if path == "/token":
            size = int(environ["CONTENT_LENGTH"] or 0)
            query = {name: values[0] for name, values in parse_qs(environ["wsgi.input"].read(size).decode()).items()}
            basic = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
            assert environ.get("HTTP_AUTHORIZATION") == basic, "the app says who it is"
        kind, body = getattr(self, path.strip("/").split("/")[-1].replace("-", "_"))(query)
        start_response("200 OK", [("Content-Type", kind)])
        return [body.encode()]

    def openid_configuration(self, query):
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }
        return "application/json", json.dumps(found)

    def keys(self, query):
        return "application/json", json.dumps({"keys": [self.key.as_dict(private=False)]})

    def authorize(self, query):
        links = []
        for name in self.people:
            code = secrets.token_urlsafe()
            self.codes[code] = name, query.get("nonce")
            back = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
            links.append(f"<p><a href='{html.escape(back)}'>{html.escape(name)}</a></p>")
        return "text/html", f"<h1>Who are you?</h1>{''.join(links)}"

    def token(self, query):
        name, nonce = self.codes.pop(query["code"])
        now = int(time.time())
        claims = {"iss": self.url, "sub": name, "aud": CLIENT, "iat": now, "exp": now + 600, "nonce": nonce}
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims | self.people[name], self.key)
        answer = {"access_token": "none", "token_type": "Bearer", "expires_in": 600, "id_token": token}
        return "application/json", json.dumps(answer)


@contextlib.contextmanager
def serve(people: dict[str, dict]) -> Iterator[Provider]:
    """A provider on a free port of this computer."""
    provider = Provider(people)
    server = make_server("127.0.0.1", 0, provider, handler_class=Quiet)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def secrets_toml(provider: Provider, app_url: str) -> str:
    """What an operator writes for this provider."""
    return f"""
[auth]
redirect_uri = "{app_url}/oauth2callback"
cookie_secret = "{secrets.token_hex(32)}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"
"""
