"""Whether a platform's word about who signed in can be trusted, and where its doors are."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from bridge.kit import (
    BridgeError,
    IdToken,
    Misconfigured,
    OAuth,
    Request,
    Response,
    Server,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
)
from bridge.kit.oauth import callback, exchange
from bridge.kit.openid import discover, unwarned
from tests.providers.playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.example/realm"
RSA, OTHER_RSA = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
EC, ED = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
SECRET = "a client secret of thirty-two by"
NONCE = "n-0S6_WzA2Mj"
OAUTH = OAuth(
    token_url="https://id.example/token",
    jwks_url="https://id.example/keys",
    issuer=ISSUER,
    scopes=("openid",),
    id_token=IdToken(algorithms=("RS256", "ES256", "EdDSA")),
)
SAID: dict[str, Any] = {"iss": ISSUER, "sub": "42", "aud": "client", "exp": AT + 600, "iat": AT, "nonce": NONCE}
SIGN_IN = SignIn(verifier="v" * 43, nonce=NONCE, redirect_uri="https://bridge.example/cb", scopes=("openid",))


def public(*keys: Any, **more: Any) -> Response:
    rows = [{**key.as_dict(private=False), **more} for key in keys]
    return Response(200, json.dumps({"keys": rows}).encode())


def signed(key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**SAID, **changed}.items() if value is not ...}
    with unwarned():
        return jwt.encode({"alg": alg, **(header or {})}, claims, key, algorithms=[alg])


def sign_in(
    raw: Any, *keys: Response, oauth: OAuth = OAUTH, settings: dict[str, str] | None = None
) -> tuple[Tokens, list[Request]]:
    body = {"access_token": "a-token", "token_type": "Bearer"} | ({"id_token": raw} if raw is not ... else {})
    talk = exchange(
        oauth, SIGN_IN, callback("state=s&code=c"), settings or {"client_id": "client", "client_secret": SECRET}, NOW
    )
    return play(talk, Response(200, json.dumps(body).encode()), *keys)


@pytest.mark.parametrize(
    ("key", "alg"),
    [pytest.param(RSA, "RS256", id="RS256"), pytest.param(EC, "ES256", id="ES256"), pytest.param(ED, "EdDSA", id="Ed")],
)
def test_a_signed_word_is_believed(key: Any, alg: str) -> None:
    tokens, [_, asked] = sign_in(signed(key, alg, email="ann@example.com"), public(OTHER_RSA, key))
    assert (asked.method, asked.url) == ("GET", "https://id.example/keys")
    assert (tokens.claims["sub"], tokens.claims["email"]) == ("42", "ann@example.com")


def test_the_nonce_goes_out() -> None:
    from urllib.parse import parse_qs, urlsplit

    from bridge.kit.oauth import begin

    settings = {"client_id": "client", "authorize_url": "https://id.example/a"}
    address, _ = play(begin(OAUTH, SIGN_IN, "s", settings, NOW))
    assert parse_qs(urlsplit(address).query)["nonce"] == [NONCE]


def test_a_word_under_the_clients_secret() -> None:
    oauth = OAuth(token_url="https://id.example/t", issuer=ISSUER, id_token=IdToken(algorithms=("HS256",)))
    raw = signed(OctKey.import_key(SECRET), "HS256")
    assert sign_in(raw, oauth=oauth)[0].claims["sub"] == "42"
    with pytest.raises(SignInRefused, match="no key"):
        sign_in(signed(OctKey.import_key("another secret of thirty-two byt"), "HS256"), oauth=oauth)
    with pytest.raises(Misconfigured, match="client_secret"):
        sign_in(raw, oauth=oauth, settings={"client_id": "client"})


def test_a_public_key_is_never_a_secret() -> None:
    """The platform's public key as an HMAC key: the classic confusion of algorithms."""
    text = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=") + b"." + signed().split(".")[1].encode()
    mac = hmac.digest(RSA.as_pem(private=False), text, "sha256")
    raw = (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    with pytest.raises(SignInRefused, match="HS256"):
        sign_in(raw)
    both = OAuth(
        token_url="https://id.example/t", jwks_url="https://k", issuer=ISSUER, id_token=IdToken(algorithms=("HS256",))
    )
    with pytest.raises(SignInRefused, match="no key"):
        sign_in(raw, oauth=both)


def half(raw: str, part: int, new: str) -> str:
    parts = raw.split(".")
    parts[part] = new
    return ".".join(parts)


def demanding() -> str:
    """Rightly signed, with an extension in its header that whoever reads it must understand. RFC 7515, 4.1.11."""
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","crit":["x"],"x":1}').rstrip(b"=")
    text = header + b"." + signed().split(".")[1].encode()
    mac = RSA.raw_value.sign(text, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


NONE = "eyJhbGciOiJub25lIn0." + signed().split(".")[1] + "."


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(signed(iss="https://attacker.example"), id="another issuer"),
        pytest.param(signed(iss=f"{ISSUER}/"), id="a slash more"),
        pytest.param(signed(iss=...), id="no issuer"),
        pytest.param(signed(aud="somebody else"), id="for somebody else"),
        pytest.param(signed(aud="somebody else", azp="client"), id="for somebody else, asked by us"),
        pytest.param(signed(aud=[]), id="for nobody"),
        pytest.param(signed(aud=...), id="no audience"),
        pytest.param(signed(aud=["client", "other"]), id="for two, and nobody says who asked"),
        pytest.param(signed(aud=["client", "other"], azp="other"), id="for two, asked by the other"),
        pytest.param(signed(exp=AT - 121), id="over"),
        pytest.param(signed(exp=...), id="no end"),
        pytest.param(signed(exp="tomorrow"), id="an end in words"),
        pytest.param(signed(iat=AT + 3600), id="made in the future"),
        pytest.param(signed(iat=...), id="no time"),
        pytest.param(signed(nbf=AT + 3600), id="not yet"),
        pytest.param(signed(sub=...), id="about nobody"),
        pytest.param(signed(sub=42), id="about a number"),
        pytest.param(signed(nonce="another"), id="another sign-in's"),
        pytest.param(signed(nonce=...), id="no nonce"),
        pytest.param(signed(nonce=""), id="an empty nonce"),
        pytest.param(signed(at_hash="x" * 22), id="about another token"),
        pytest.param(signed(at_hash=7), id="a number for a hash"),
        pytest.param(signed(OTHER_RSA), id="another key"),
        pytest.param(half(signed(), 1, signed(sub="1").split(".")[1]), id="another body under the signature"),
        pytest.param(half(signed(), 2, ""), id="no signature"),
        pytest.param(half(signed(), 2, "AAAA"), id="a short signature"),
        pytest.param(half(signed(), 2, "!!"), id="a signature that is no base64"),
        pytest.param(NONE, id="signed with nothing"),
        pytest.param(signed(RSA, "RS384"), id="an algorithm that was not agreed on"),
        pytest.param(signed(header={"kid": "of tomorrow"}), id="a key nobody published"),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="no token"),
        pytest.param(signed().rpartition(".")[0], id="two parts"),
        pytest.param("[" * 4000 + ".a.b", id="a deep header"),
        pytest.param("x" * 20_000, id="too long"),
        pytest.param(signed() + ".more", id="four parts"),
        pytest.param(demanding(), id="a header that must be understood"),
    ],
)
def test_any_other_word_is_refused(raw: str) -> None:
    keys = public(RSA, kid="of today")
    with pytest.raises(SignInRefused) as caught:
        sign_in(raw, keys)
    assert caught.value.message


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        pytest.param(Response(503), Unavailable, id="503"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="a page"),
        pytest.param(Response(200, b"{}"), Unavailable, id="no keys"),
        pytest.param(Response(200, b'{"keys":{}}'), Unavailable, id="keys that are no list"),
        pytest.param(Response(200, b'{"keys":[]}'), SignInRefused, id="an empty list"),
        pytest.param(Response(200, b'{"keys":[7,{"kty":"RSA"},{"kty":"oct","k":"AA"}]}'), SignInRefused, id="junk"),
        pytest.param(public(EC), SignInRefused, id="of another kind"),
        pytest.param(public(RSA, use="enc"), SignInRefused, id="for encrypting"),
        pytest.param(public(RSA, alg="RS512"), SignInRefused, id="for another algorithm"),
    ],
)
def test_the_platforms_keys_must_be_keys(keys: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error):
        sign_in(signed(), keys)


def test_a_key_that_anybody_can_break_is_none() -> None:
    with pytest.warns(SecurityWarning, match="2048"):
        small = RSAKey.generate_key(1024)
    with pytest.raises(SignInRefused, match="no key"):
        sign_in(signed(small), public(small))


def test_an_answer_without_the_word_is_no_sign_in() -> None:
    for raw in (..., None, 7):
        with pytest.raises(Unavailable, match="id_token"):
            sign_in(raw)


def test_several_keys_and_no_name_are_tried() -> None:
    assert sign_in(signed(), public(OTHER_RSA, EC, RSA))[0].claims["sub"] == "42"
    assert sign_in(signed(aud=["client", "other"], azp="client"), public(RSA))[0].claims["azp"] == "client"
    assert sign_in(signed(exp=AT - 119), public(RSA))[0].claims["sub"] == "42"  # clocks differ


def test_keys_come_and_go_by_their_names() -> None:
    keys = KeySet([RSA, OTHER_RSA])
    rows = [{**key.as_dict(private=False), "kid": name} for key, name in zip(keys.keys, ("old", "new"), strict=True)]
    answer = Response(200, json.dumps({"keys": rows}).encode())
    assert sign_in(signed(OTHER_RSA, header={"kid": "new"}), answer)[0].claims["sub"] == "42"
    with pytest.raises(SignInRefused):
        sign_in(signed(OTHER_RSA, header={"kid": "old"}), answer)


# --- discovery ------------------------------------------------------------------------------------------------------

META = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://keys.example/all",
    "userinfo_endpoint": "https://id.example/me",
    "revocation_endpoint": "https://id.example/revoke",
    "authorization_response_iss_parameter_supported": True,
}


def described(status: int = 200, **changed: Any) -> Server:
    body = {name: value for name, value in {**META, **changed}.items() if value is not ...}
    found, [asked] = play(discover(ISSUER), Response(status, json.dumps(body).encode()))
    assert asked.url == f"{ISSUER}/.well-known/openid-configuration"
    return found


def test_a_provider_describes_itself() -> None:
    assert described() == Server(
        authorize_url="https://id.example/authorize",
        token_url="https://id.example/token",
        jwks_url="https://keys.example/all",
        userinfo_url="https://id.example/me",
        revoke_url="https://id.example/revoke",
        issuer=ISSUER,
        sends_iss=True,
        client_auth="basic",
    )


@pytest.mark.parametrize(
    ("methods", "auth"),
    [(..., "basic"), (["client_secret_post"], "post"), (["client_secret_post", "client_secret_basic"], "basic")],
)
def test_how_it_knows_its_clients(methods: Any, auth: str) -> None:
    assert described(token_endpoint_auth_methods_supported=methods).client_auth == auth


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        pytest.param({"issuer": "https://attacker.example"}, Misconfigured, id="another's name"),
        pytest.param({"issuer": f"{ISSUER}/"}, Misconfigured, id="a slash more"),
        pytest.param({"issuer": ...}, Misconfigured, id="no name"),
        pytest.param({"token_endpoint": ...}, Misconfigured, id="no door"),
        pytest.param({"token_endpoint": "http://id.example/token"}, Misconfigured, id="a door without a lock"),
        pytest.param({"token_endpoint": "https://a:b@id.example/"}, Misconfigured, id="a name in the address"),
        pytest.param({"token_endpoint": "file:///etc/passwd"}, Misconfigured, id="a file"),
        pytest.param({"token_endpoint": "https://[1/"}, Misconfigured, id="no address"),
        pytest.param({"jwks_uri": "http://keys.example/"}, Misconfigured, id="keys without a lock"),
        pytest.param({"authorization_endpoint": ["https://x"]}, Misconfigured, id="a list"),
        pytest.param({"status": 404}, Unavailable, id="404"),
        pytest.param({"status": 500}, Unavailable, id="500"),
    ],
)
def test_a_description_that_cannot_be_right(changed: dict[str, Any], error: type[BridgeError]) -> None:
    with pytest.raises(error):
        described(**changed)


def test_a_page_is_no_description() -> None:
    with pytest.raises(Unavailable):
        play(discover(ISSUER), Response(200, b"<html>"))


def test_a_stand_in_on_this_machine_needs_no_lock() -> None:
    issuer = "http://127.0.0.1:9"
    body = {name: str(value).replace("https://id.example", issuer) for name, value in META.items()}
    body |= {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
    found, _ = play(discover(issuer), Response(200, json.dumps(body).encode()))
    assert found.token_url == f"{issuer}/token"


def test_time_is_an_argument() -> None:
    raw = signed()
    body = Response(200, json.dumps({"access_token": "a", "id_token": raw}).encode())
    late = NOW + timedelta(minutes=13)
    with pytest.raises(SignInRefused, match="exp"):
        play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), {"client_id": "client"}, late), body, public(RSA))
