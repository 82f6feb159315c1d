"""An OpenID provider from the package index on a port of its own, with its own pages and its own judgement.

`python -m tests.oauth.idpy REDIRECT SECRET`: its address is the first line on stdout, the end of stdin is its end.
What stands here is only HTTP around https://github.com/IdentityPython/idpy-oidc, and what it is told to be like.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from idpyoidc.message.oidc import AuthorizationRequest
from idpyoidc.server import Server
from idpyoidc.server.configure import OPConfiguration
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

SCOPES = ["openid", "email", "offline_access"]
PATHS = {
    "provider_config": ".well-known/openid-configuration",
    "authorization": "authorization",
    "token": "token",
    "userinfo": "userinfo",
    "token_revocation": "revoke",
}
AUTH = ["client_secret_post", "client_secret_basic"]
PAGE = """<!doctype html><title>Sign in</title><form action="/{{ action }}" method="post">
<input type="hidden" name="token" value="{{ token }}"><label>Name <input name="username"></label>
<label>Password <input type="password" name="password"></label><button>Sign in</button></form>"""


def configuration(issuer: str) -> dict[str, Any]:
    own = "idpyoidc.server."
    sealed = [{"type": "OCT", "use": ["enc"], "kid": "password"}, {"type": "OCT", "use": ["enc"], "kid": "salt"}]
    cookies = [{"type": "OCT", "use": ["enc"], "kid": "enc"}, {"type": "OCT", "use": ["sig"], "kid": "sig"}]
    jwt = {"class": f"{own}token.jwt_token.JWTToken", "kwargs": {"lifetime": 3600, "aud": [issuer]}}
    mints = ["access_token", "refresh_token", "id_token"]
    once = {"supports_minting": mints, "max_usage": 1}
    lasting = {"supports_minting": mints, "expires_in": 3600}
    return {
        "issuer": issuer,
        "base_url": issuer,
        "key_conf": {
            "key_defs": [{"type": "RSA", "use": ["sig"]}, {"type": "EC", "crv": "P-256", "use": ["sig"]}],
            "uri_path": "jwks.json",
        },
        "preference": {
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "scopes_supported": SCOPES,
        },
        "add_on": {
            "pkce": {
                "function": f"{own}oauth2.add_on.pkce.add_support",
                "kwargs": {"essential": True, "code_challenge_methods": {"S256": True}},
            }
        },
        "token_handler_args": {
            "jwks_def": {"key_defs": [{"type": "oct", "bytes": "24", "use": ["enc"], "kid": "code"}]},
            "code": {"lifetime": 60, "kwargs": {}},
            "token": jwt,
            "refresh": jwt,
            "id_token": {"class": f"{own}token.id_token.IDToken", "kwargs": {}},
        },
        "authz": {
            "class": f"{own}authz.AuthzHandling",
            "kwargs": {
                "grant_config": {
                    "usage_rules": {"authorization_code": once, "access_token": {}, "refresh_token": lasting},
                    "expires_in": 43200,
                }
            },
        },
        "authentication": {
            "user": {
                "acr": "urn:oasis:names:tc:SAML:2.0:ac:classes:InternetProtocolPassword",
                "class": f"{own}user_authn.user.UserPassJinja2",
                "kwargs": {
                    "verify_endpoint": "verify/user",
                    "template": "login.html",
                    "db": {"class": f"{own}util.JSONDictDB", "kwargs": {"filename": "people.json"}},
                },
            }
        },
        "template_dir": "templates",
        "userinfo": {
            "class": f"{own}user_info.UserInfo",
            "kwargs": {"db": {"ann": {"email": "ann@example.com", "email_verified": True}}},
        },
        "session_params": {"encrypter": {"kwargs": {"keys": {"key_defs": sealed}}}},
        "cookie_handler": {
            "class": f"{own}cookie_handler.CookieHandler",
            "kwargs": {"keys": {"key_defs": cookies}, "name": {"session": "op", "register": "rp"}},
        },
        "claims_interface": {"class": f"{own}session.claims.ClaimsInterface", "kwargs": {}},
        "scopes_handler": {"class": f"{own}scopes.Scopes"},
        "endpoint": {
            "provider_config": endpoint("oidc.provider_config.ProviderConfiguration", "provider_config", None),
            "authorization": endpoint("oidc.authorization.Authorization", "authorization", None),
            "token": endpoint("oidc.token.Token", "token", AUTH),
            "userinfo": endpoint("oidc.userinfo.UserInfo", "userinfo", ["bearer_header"]),
            "token_revocation": endpoint("oauth2.token_revocation.TokenRevocation", "token_revocation", AUTH),
        },
    }


def endpoint(kind: str, name: str, auth: list[str] | None) -> dict[str, Any]:
    return {"path": PATHS[name], "class": f"idpyoidc.server.{kind}", "kwargs": {"client_authn_method": auth}}


def client(home: str, secret: str, client_id: str, alg: str) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_secret": secret,
        "redirect_uris": [(home, {})],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "allowed_scopes": SCOPES,
        "id_token_signed_response_alg": alg,
    }


class Web:
    """Its judgement over HTTP."""

    def __init__(self, server: Any, home: str) -> None:
        self.server, self.home = server, home

    def routes(self) -> list[Route]:
        made = [Route(f"/{path}", self.serve(name), methods=["GET", "POST"]) for name, path in PATHS.items()]
        return [*made, Route("/jwks.json", self.keys), Route("/verify/user", self.verify, methods=["POST"])]

    def serve(self, name: str) -> Any:
        kind = self.server.get_endpoint(name)

        async def answer(request: Request) -> Response:
            body = (await request.body()).decode()
            given = dict(parse_qsl(body if request.method == "POST" else request.url.query))
            said = {"authorization": request.headers["authorization"]} if "authorization" in request.headers else {}
            about = {"headers": said, "method": request.method, "url": str(request.url), "cookie": []}
            try:
                asked = kind.parse_request(given, http_info=about)
                told = dict(asked) if "error" in asked else kind.process_request(asked, http_info=about)
            except Exception as error:  # it raises what it does not answer
                status = 401 if name in ("userinfo", "token") else 400
                return JSONResponse({"error": "invalid_client", "error_description": str(error)}, status)
            if name == "authorization" and "error" in told and given.get("redirect_uri") == self.home:
                told |= {"return_uri": self.home, "state": given.get("state", "")}
            return self.sent(kind, asked, told)

        return answer

    async def verify(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        method = self.server.get_context().authn_broker.get_method_by_id("user")
        who, told = method.verify(**form), method.unpack_token(form["token"])
        asked, kind = AuthorizationRequest().from_urlencoded(told["query"]), self.server.get_endpoint("authorization")
        session = kind.create_session(asked, who, told["authn_class_ref"], told["iat"], method)
        return self.sent(kind, asked, kind.authz_part2(request=asked, session_id=session))

    async def keys(self, request: Request) -> Response:
        return JSONResponse(json.loads(self.server.keyjar.export_jwks_as_json()))

    def sent(self, kind: Any, asked: Any, told: Any) -> Response:
        if "http_response" in told:
            return HTMLResponse(told["http_response"])
        if "error" in told and "return_uri" not in told:
            status = 401 if told["error"] == "invalid_token" else 400  # RFC 6750 3.1
            return JSONResponse({name: told[name] for name in ("error", "error_description") if name in told}, status)
        found = kind.do_response(request=asked, **told)
        if found.get("response_placement", kind.response_placement) == "url":
            return RedirectResponse(found["response"], 303)
        return Response(found["response"], found.get("response_code", 200), dict(found["http_headers"]))


def provider(issuer: str, home: str, secret: str) -> Starlette:
    """The provider; it reads its files from the folder that it is in."""
    Path("templates").mkdir()
    Path("templates/login.html").write_text(PAGE)
    Path("people.json").write_text(json.dumps({"ann": "any"}))
    server = Server(OPConfiguration(configuration(issuer), base_path="."), cwd=".")
    for client_id, alg in (("rsa", "RS256"), ("ec", "ES256")):
        server.get_context().cdb[client_id] = client(home, secret, client_id, alg)
    return Starlette(routes=Web(server, home).routes())


async def serve(app: Starlette, listening: socket.socket, issuer: str) -> None:
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    task = asyncio.create_task(running.serve(sockets=[listening]))
    print(json.dumps({"issuer": issuer}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    running.should_exit = True
    await task


def main(home: str, secret: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        asyncio.run(serve(provider(issuer, home, secret), listening, issuer))


if __name__ == "__main__":
    main(*sys.argv[1:])
