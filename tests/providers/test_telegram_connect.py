"""Telegram asked for a customer: who signed in or wrote to the bot, and whether they are in the chat."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from bridge.kit import (
    Account,
    Answer,
    Ask,
    ConsentDenied,
    Delivery,
    Evidence,
    Message,
    Misconfigured,
    Prepared,
    Question,
    Request,
    Response,
    SetUp,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    code_of,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange
from providers.social.telegram import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
CHAT, TOKEN = "-1001234567890", "110201543:a-token-that-is-good-for-tests-alone"
SETTINGS = {
    "client_id": "110201543",
    "client_secret": "web",
    "bot_token": TOKEN,
    "bot_name": "cool_brand_bot",
    "chat_id": CHAT,
    "chat_link": "cool_brand",
}
ANN = Account(id="4242", handle="ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW)
BASE = f"https://api.telegram.org/bot{TOKEN}/"
OAUTH, LOGIN, CODES = source.oauth, source.login, source.codes
assert OAUTH is not None
assert LOGIN is not None
assert CODES is not None


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


def ok(result: Any) -> Response:
    return answer(ok=True, result=result)


def no(status: int, description: str, **parameters: Any) -> Response:
    return answer(status, ok=False, error_code=status, description=description, parameters=parameters)


# --- OpenID Connect -------------------------------------------------------------------------------------------------

RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
SIGN_IN = SignIn(
    verifier="v" * 43, nonce="n-0S6", redirect_uri="https://bridge.example/cb", scopes=("openid", "profile")
)
SAID = {
    "iss": "https://oauth.telegram.org",
    "aud": "110201543",
    "sub": "opaque",
    "iat": AT,
    "exp": AT + 600,
    "nonce": "n-0S6",
    "id": 4242,
    "name": "Ann",
    "preferred_username": "ann",
}


def keys(*known: Any) -> Response:
    return answer(keys=[one.as_dict(private=False) for one in known])


def signed_in(key: Any = RSA, alg: str = "RS256", access: str | None = "opaque", **change: Any) -> Tokens:
    claims = {name: value for name, value in {**SAID, **change}.items() if value is not None}
    raw = jwt.encode({"alg": alg}, claims, key, algorithms=[alg])
    body = {"id_token": raw, "expires_in": 3600} | ({"access_token": access, "token_type": "Bearer"} if access else {})
    talk = exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW)
    tokens, [asked, keyed] = play(talk, answer(200, body), keys(key))
    assert (asked.url, keyed.url) == (
        "https://oauth.telegram.org/token",
        "https://oauth.telegram.org/.well-known/jwks.json",
    )
    assert asked.headers["Authorization"].startswith("Basic ")
    assert (asked.form or {})["client_id"] == "110201543"
    assert "client_secret" not in (asked.form or {})
    return tokens


def who(tokens: Tokens) -> Account:
    assert source.whoami is not None
    account, asked = play(source.whoami(tokens, SETTINGS))
    assert not asked
    return account


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256")])
@pytest.mark.parametrize("access", ["opaque", None], ids=["with an access token", "with an id_token alone"])
def test_who_signed_in_is_the_number_that_the_bot_knows(key: Any, alg: str, access: str | None) -> None:
    assert who(signed_in(key, alg, access)) == Account(id="4242", handle="ann")


def test_a_phone_is_verified_only_if_telegram_says_so() -> None:
    theirs = who(signed_in(phone_number="+46701234567", phone_number_verified=True))
    typed = who(signed_in(phone_number="+46701234567", phone_number_verified="true"))
    assert [(one.phone, one.phone_verified) for one in (theirs, typed)] == [
        ("+46701234567", True),
        ("+46701234567", False),
    ]


@pytest.mark.parametrize("id_", [None, "", "opaque", 0, -1, True, 4.2, [4242], "٤٢", "4242\n", 10**17])
def test_nobody_is_guessed(id_: Any) -> None:
    with pytest.raises(Unavailable):
        who(Tokens(access="t", claims={"sub": "4242", "id": id_}))


@pytest.mark.parametrize("change", [{"aud": "7"}, {"iss": "https://evil.example"}, {"nonce": "x"}, {"exp": AT - 600}])
def test_a_word_about_another_sign_in_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused):
        signed_in(**change)


def test_where_customers_sign_in() -> None:
    address, _ = play(begin(OAUTH, SIGN_IN, "s" * 32, SETTINGS, NOW))
    query = parse_qs(urlsplit(address).query)
    assert address.startswith("https://oauth.telegram.org/auth?")
    assert (query["scope"], query["nonce"], query["code_challenge_method"]) == (["openid profile"], ["n-0S6"], ["S256"])
    assert source.door(SETTINGS) is OAUTH
    assert source.door({"bot_token": TOKEN}) is LOGIN
    assert source.door({}) is None


# --- the widget -----------------------------------------------------------------------------------------------------

FIELDS = {
    "id": "4242",
    "first_name": "Ann",
    "last_name": "Åberg",
    "username": "ann",
    "photo_url": "https://t.me/i/userpic/320/ann.jpg",
    "auth_date": str(AT - 5),
}


def sealed(fields: dict[str, str], token: str = TOKEN) -> dict[str, str]:
    text = "\n".join(f"{name}={fields[name]}" for name in sorted(fields))
    key = hashlib.sha256(token.encode()).digest()
    return {**fields, "hash": hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}


def packed(value: Any) -> dict[str, str]:
    raw = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return {"tgAuthResult": raw, "state": "s"}


def read(fields: dict[str, str], now: datetime = NOW) -> Account:
    assert LOGIN is not None
    account, asked = play(LOGIN.account(fields, SETTINGS, now))
    assert not asked
    return account


def test_the_hash_is_telegrams_own() -> None:
    # The documented formula, worked out by openssl: HMAC-SHA256 under the SHA-256 of the bot's token.
    mac = "b3e4ef46390d72c41bf9daece027001c1a9374d3e2af86f258cb181c3b2dbcd0"
    assert read({"auth_date": "1795175995", "id": "4242", "hash": mac, "state": "s"}) == Account(id="4242")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({**sealed(FIELDS), "state": "s"}, id="as a query, our state beside it"),
        pytest.param(packed({**sealed(FIELDS), "id": 4242, "auth_date": AT - 5}), id="as a fragment, with numbers"),
    ],
)
def test_who_the_widget_names(fields: dict[str, str]) -> None:
    assert read(fields) == Account(id="4242", handle="ann")


def test_a_name_with_a_newline_cannot_pass_for_another_field() -> None:
    # Both are joined to the same text: the second says that somebody else signed in.
    theirs = sealed({"auth_date": str(AT), "first_name": "x\nid=1\nlast_name=y", "id": "4242"})
    forged = {"auth_date": str(AT), "first_name": "x", "id": "1", "last_name": "y\nid=4242", "hash": theirs["hash"]}
    assert sealed({name: value for name, value in forged.items() if name != "hash"})["hash"] == theirs["hash"]
    for fields in (theirs, forged):
        with pytest.raises(SignInRefused):
            read(fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param(FIELDS, id="no hash"),
        pytest.param({**FIELDS, "hash": ""}, id="an empty hash"),
        pytest.param({**FIELDS, "hash": "☃" * 64}, id="a hash of snowmen"),
        pytest.param({**sealed(FIELDS), "id": "1"}, id="another id"),
        pytest.param({**sealed(FIELDS), "evil": "1"}, id="a field more"),
        pytest.param({**sealed(FIELDS), "e\nvil": "1"}, id="a name with a newline"),
        pytest.param(sealed(FIELDS, "7:another-bots-token"), id="another bot's"),
        pytest.param(sealed({**FIELDS, "auth_date": str(AT - 301)}), id="five minutes old"),
        pytest.param(sealed({**FIELDS, "auth_date": str(AT + 61)}), id="from the future"),
        pytest.param(sealed({**FIELDS, "auth_date": "soon"}), id="no time"),
        pytest.param(sealed({"id": "4242"}), id="no time at all"),
        pytest.param(sealed({**FIELDS, "id": "@ann"}), id="a name for an id"),
        pytest.param(sealed({"auth_date": str(AT)}), id="no id"),
        pytest.param({"tgAuthResult": "%%%"}, id="no base64"),
        pytest.param({"tgAuthResult": "é"}, id="not even ASCII"),
        pytest.param({"tgAuthResult": ""}, id="an empty fragment"),
        pytest.param(packed([1]), id="a list"),
        pytest.param(packed({"id": {"a": 1}}), id="an object in it"),
        pytest.param(packed({"id": "\ud800", "hash": "x"}), id="half a character"),
        pytest.param({"tgAuthResult": base64.urlsafe_b64encode(b"[" * 6000).decode()}, id="nested too deeply"),
    ],
)
def test_what_telegram_has_not_signed_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(SignInRefused):
        read(fields)


def test_the_customer_says_no() -> None:
    with pytest.raises(ConsentDenied):
        read(packed(False))


def test_the_widgets_page() -> None:
    assert LOGIN is not None
    address = LOGIN.address("https://bridge.example/connect/telegram/callback?state=s", SETTINGS)
    assert address.startswith("https://oauth.telegram.org/auth?")
    assert parse_qs(urlsplit(address).query) == {
        "bot_id": ["110201543"],
        "origin": ["https://bridge.example"],
        "return_to": ["https://bridge.example/connect/telegram/callback?state=s"],
    }


# --- messages -------------------------------------------------------------------------------------------------------


def delivered(update: Any) -> Delivery:
    return Delivery(
        source="telegram", method="POST", url="https://bridge.example/", headers={},
        body=json.dumps(update).encode(), received_at=NOW, id="d", key="d",
    )  # fmt: skip


def wrote(text: Any = "/start 271828", **change: Any) -> dict[str, Any]:
    theirs = {"id": 4242, "is_bot": False, "first_name": "Ann", "username": "ann"}
    message = {"message_id": 5, "from": theirs, "chat": {"id": 4242, "type": "private"}, "date": AT, "text": text}
    return {"update_id": 1, "message": {**message, **change}}


def heard(update: Any) -> list[Message]:
    assert CODES is not None
    return list(CODES.messages(delivered(update), SETTINGS))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("/start 271828", "271828"),
        ("/start@cool_brand_bot 271828", "271828"),
        ("271828", "271828"),
        ("my code is 271 828, thanks", "271828"),
        ("/start", None),
        ("hello", None),
        ("271828 or 314159", None),
    ],
)
def test_a_code_that_was_written_or_followed(text: str, code: str | None) -> None:
    [message] = heard(wrote(text))
    assert (message.account, message.at, message.handle) == ("4242", NOW, "ann")
    assert code_of(message) == code


@pytest.mark.parametrize(
    "update",
    [
        pytest.param({"update_id": 1, "edited_message": wrote()["message"]}, id="an edit"),
        pytest.param({"update_id": 1, "channel_post": wrote()["message"]}, id="a channel's own"),
        pytest.param(wrote(forward_origin={"type": "user"}), id="forwarded"),
        pytest.param(wrote(forward_date=AT), id="forwarded, as older servers say it"),
        pytest.param(wrote(via_bot={"id": 7}), id="through another bot"),
        pytest.param(wrote(chat={"id": CHAT, "type": "group"}), id="in a group"),
        pytest.param(wrote(chat={"id": 4242, "type": "supergroup"}), id="in a group with the same number"),
        pytest.param(wrote(chat={"id": 7, "type": "private"}), id="in somebody else's chat"),
        pytest.param(wrote(**{"from": {"id": 4242, "is_bot": True}}), id="by a bot"),
        pytest.param(wrote(**{"from": {"id": "ann"}}, chat={"id": "ann", "type": "private"}), id="by a name"),
        pytest.param(wrote(**{"from": {}}, chat={"type": "private", "id": None}), id="by nobody"),
        pytest.param(wrote(text=None), id="a picture"),
        pytest.param({"update_id": 1}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param(7, id="a number"),
    ],
)
def test_what_nobody_wrote_to_the_bot_carries_no_code(update: Any) -> None:
    assert heard(update) == []


@pytest.mark.parametrize("date", [None, "soon", -1, 0, 10**30, 1.5, True])
def test_a_time_that_cannot_be_read_leaves_the_message(date: Any) -> None:
    [message] = heard(wrote(date=date))
    assert message.at is None


def test_the_link_carries_the_code() -> None:
    assert CODES is not None
    assert CODES.carries
    assert CODES.address("271828", SETTINGS) == "https://t.me/cool_brand_bot?start=271828"
    assert CODES.address("271828", {}) == ""


def test_who_wrote() -> None:
    assert CODES is not None
    for told, handle in (({"username": "ann"}, "ann"), ({"first_name": "Ann"}, "Ann"), ({}, "")):
        account, [request] = play(CODES.whoami("4242", SETTINGS), ok({"id": 4242, "type": "private", **told}))
        assert account == Account(id="4242", handle=handle)
        assert (request.url, request.params) == (f"{BASE}getChat", {"chat_id": "4242"})


@pytest.mark.parametrize(
    "response",
    [ok({"id": 7}), ok({}), ok(None), ok([]), no(400, "Bad Request: chat not found"), Response(500), answer()],
)
def test_nobody_is_guessed_from_a_message(response: Response) -> None:
    assert CODES is not None
    with pytest.raises(Unavailable):
        play(CODES.whoami("4242", SETTINGS), response)


def test_an_answer_in_the_chat() -> None:
    assert CODES is not None
    assert CODES.say is not None
    _, [request] = play(CODES.say("4242", "Welcome! " * 1000, SETTINGS), ok({"message_id": 6}))
    assert (request.method, request.url) == ("POST", f"{BASE}sendMessage")
    assert request.json["chat_id"] == "4242"
    assert len(request.json["text"]) == 4096
    with pytest.raises(Unavailable, match="blocked"):
        play(CODES.say("4242", "Welcome!", SETTINGS), no(403, "Forbidden: bot was blocked by the user"))


# --- membership -----------------------------------------------------------------------------------------------------


def member(status: Any, id_: Any = 4242, **more: Any) -> Response:
    return ok({"status": status, "user": {"id": id_, "is_bot": False, "username": "ann"}, **more})


ADMIN = member("administrator", 110201543)


def asked(ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks["join"].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


def rechecked(*answers: Response) -> tuple[Answer, list[Request]]:
    return play(source.rechecks["join"](Question("4242", CHAT, "k"), SETTINGS), *answers)


@pytest.mark.parametrize(
    ("answers", "result", "obstacle"),
    [
        pytest.param([member("member")], "verified", "", id="a member"),
        pytest.param([member("administrator")], "verified", "", id="an administrator"),
        pytest.param([member("creator")], "verified", "", id="the owner"),
        pytest.param([member("restricted", is_member=True)], "verified", "", id="a member who may not write"),
        pytest.param([member("left"), ADMIN], "not_found", "", id="left, or never came"),
        pytest.param([member("restricted", is_member=False), ADMIN], "not_found", "", id="restricted, and gone"),
        pytest.param([member("kicked")], "not_found", "", id="removed"),
        pytest.param([member("left"), member("member", 110201543)], "unknown", "brand", id="the bot is no admin"),
        pytest.param([member("left"), no(400, "Bad Request: chat not found")], "unknown", "brand", id="nor in it"),
        pytest.param([member("left"), Response(500)], "unknown", "busy", id="nobody knows whether the bot is"),
        pytest.param([member("restricted")], "unknown", "", id="restricted, and not said"),
        pytest.param([member("restricted", is_member="true")], "unknown", "", id="said in another way"),
        pytest.param([member("ghost")], "unknown", "", id="a status that is not documented"),
        pytest.param([member(None)], "unknown", "", id="no status"),
        pytest.param([member("member", 7)], "unknown", "", id="about another account"),
        pytest.param([member("left", 7)], "unknown", "", id="about another account, with a no"),
        pytest.param([ok({})], "unknown", "", id="nothing in it"),
        pytest.param([ok([])], "unknown", "", id="a list"),
        pytest.param([no(400, "Bad Request: user not found")], "unknown", "", id="the user is not known to it"),
        pytest.param([no(400, "Bad Request: PARTICIPANT_ID_INVALID")], "unknown", "", id="the same in other words"),
        pytest.param([no(400, "Bad Request: member list is inaccessible")], "unknown", "brand", id="no admin"),
        pytest.param([no(400, "Bad Request: CHAT_ADMIN_REQUIRED")], "unknown", "brand", id="no admin, in other words"),
        pytest.param([no(400, "Bad Request: chat not found")], "unknown", "brand", id="no such chat"),
        pytest.param([no(400, "Bad Request: group chat was upgraded")], "unknown", "brand", id="another id by now"),
        pytest.param([no(403, "Forbidden: bot was kicked")], "unknown", "brand", id="the bot was removed"),
        pytest.param([no(401, "Unauthorized")], "unknown", "brand", id="the token was revoked"),
        pytest.param([no(404, "Not Found")], "unknown", "brand", id="the token is none"),
        pytest.param([Response(404, b"<html>")], "unknown", "", id="404 and a page"),
        pytest.param([no(429, "Too Many Requests: retry after 5", retry_after=5)], "unknown", "busy", id="429"),
        pytest.param([Response(502, b"<html>")], "unknown", "busy", id="502 and a page"),
        pytest.param([Response(200, b"<html>")], "unknown", "", id="200 and a page"),
        pytest.param([answer(ok=False)], "unknown", "", id="200, and not ok"),
        pytest.param([answer(201, ok=True, result={"status": "member"})], "unknown", "", id="another success than 200"),
        pytest.param([answer(400, ok=False, description=["?"])], "unknown", "", id="a complaint in another form"),
    ],
)
def test_a_membership(answers: list[Response], result: str, obstacle: str) -> None:
    for found, requests in (asked(ASK, *answers), rechecked(*answers)):
        assert (found.result, found.obstacle) == (result, obstacle)
        assert (found.evidence is not None) == (result == "verified")
        assert found.note or result == "verified"
        assert TOKEN not in found.note
        assert requests[0].url == f"{BASE}getChatMember"
        assert [one.params["user_id"] for one in requests] == ["4242", "110201543"][: len(requests)]
        assert {one.params["chat_id"] for one in requests} == {CHAT}


@pytest.mark.parametrize(("seconds", "waits"), [(5, timedelta(seconds=5)), (10**9, None), (-1, None), ("5", None)])
def test_how_long_telegram_wants_to_be_left_alone(seconds: Any, waits: timedelta | None) -> None:
    assert asked(ASK, no(429, "Too Many Requests", retry_after=seconds))[0].retry_after == waits


def test_one_join_is_one_fact_by_whichever_door_it_comes() -> None:
    update = {
        "update_id": 1,
        "chat_member": {
            "chat": {"id": int(CHAT), "type": "channel"},
            "from": {"id": 99},
            "date": AT,
            "old_chat_member": {"status": "left", "user": {"id": 4242}},
            "new_chat_member": {"status": "member", "user": {"id": 4242, "username": "ann"}},
        },
    }
    assert source.read is not None
    told = source.read(delivered(update), SETTINGS)
    assert isinstance(told, Iterable)
    [heard] = told
    expected = Evidence(action="join", key=f"{CHAT}:4242", account="4242", subject=CHAT, facts={"username": "ann"})
    assert heard == replace(expected, occurred_at=NOW)  # only the update knows when
    assert asked(ASK, member("member"))[0].evidence == expected
    assert rechecked(member("member"))[0].evidence == expected


def test_nothing_is_asked_of_the_customer_but_who_they_are() -> None:
    assert OAUTH is not None
    check = source.checks["join"]
    way = check.way(SETTINGS)
    assert way is not None
    assert (wanted(OAUTH, way), way.keep) == (("openid", "profile"), False)
    assert check.way({**SETTINGS, "bot_token": ""}) is None
    assert check.way({**SETTINGS, "chat_id": ""}) is None
    assert check.page is not None
    assert [check.page(SETTINGS, ANN), check.page({}, None)] == ["https://t.me/cool_brand", ""]


def test_asked_again_it_is_about_the_same_chat() -> None:
    assert asked(replace(ASK, subject="-7"), member("member"))[1][0].params["chat_id"] == "-7"


# --- set-up ---------------------------------------------------------------------------------------------------------

URL = "https://bridge.example/webhooks/telegram"
ME = ok({"id": 110201543, "is_bot": True, "username": "cool_brand_bot"})
SECRET = "a-fixed-key-for-tests"


def set_up(*answers: Response, dry: bool = False, **change: Any) -> tuple[Prepared, list[Request]]:
    given = {"settings": SETTINGS, "url": URL, "secret": SECRET, "actions": frozenset({"join"}), "now": NOW, **change}
    assert source.setup is not None
    return play(source.setup(SetUp(dry_run=dry, **given)), *answers)


def test_telegram_is_told_where_to_and_what_of() -> None:
    prepared, requests = set_up(ME, ADMIN, ok({"url": ""}), ok(True))
    assert prepared == Prepared(did=[f"@cool_brand_bot tells {URL} of message, chat_member"], left=[])
    assert [one.url.removeprefix(BASE) for one in requests] == [
        "getMe",
        "getChatMember",
        "getWebhookInfo",
        "setWebhook",
    ]
    assert requests[-1].json == {
        "url": URL,
        "secret_token": SECRET,
        "allowed_updates": ["message", "chat_member"],
    }


def test_a_dry_run_only_reads() -> None:
    prepared, requests = set_up(ME, ADMIN, ok({"url": "https://old.example/hook"}), dry=True)
    assert all(one.harmless for one in requests)
    assert prepared.did == [
        f"would be set: @cool_brand_bot tells {URL} of message, chat_member; until now it told old.example"
    ]


@pytest.mark.parametrize(
    "there", [member("member", 110201543), member("left", 110201543), no(400, "Bad Request: chat not found")]
)
def test_what_only_a_person_can_do_is_said(there: Response) -> None:
    prepared, _ = set_up(ME, there, ok({}), ok(True))
    assert len(prepared.did) == 1
    assert prepared.left[0].startswith(f"Make @cool_brand_bot an administrator of the chat {CHAT}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "https://bridge.example:8444/webhooks/telegram"}, "on port 443, 80, 88, 8443 alone"),
        ({"url": "http://bridge.example/webhooks/telegram"}, "https on port"),
        ({"secret": ""}, "webhook_secret"),
    ],
)
def test_what_telegram_would_refuse_is_not_tried(change: dict[str, Any], words: str) -> None:
    prepared, requests = set_up(ME, ADMIN, **change)
    assert not prepared.did
    assert words in prepared.left[0]
    assert all(one.harmless for one in requests)


def test_a_chat_that_is_not_named_is_said() -> None:
    prepared, _ = set_up(ME, ok({}), ok(True), settings={**SETTINGS, "chat_id": ""})
    assert prepared.left == ["Put the chat's numeric id into chat_id"]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (no(401, "Unauthorized"), Misconfigured),
        (no(404, "Not Found"), Misconfigured),
        (no(429, "Too Many Requests"), Unavailable),
        (Response(500), Unavailable),
        (Response(200, b"<html>"), Unavailable),
    ],
)
def test_a_set_up_that_fails_says_who_must_act(response: Response, error: type[Exception]) -> None:
    for before in ([], [ME, ADMIN], [ME, ADMIN, ok({})]):
        with pytest.raises(error) as caught:
            set_up(*before, response)
        assert type(caught.value) is error
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("webhook_secret", ["a" * 16, "A_b-" * 64], ["short", "a" * 257, "a" * 15 + "!", "é" * 20]),
        ("bot_token", [TOKEN], ["", "110201543", "bot" + TOKEN, TOKEN + "/x"]),
        ("chat_id", [CHAT, "-42"], ["@cool_brand", "42", "- 42", ""]),
        ("bot_name", ["cool_brand_bot"], ["@cool_brand_bot", "cool brand", "a", "x" * 33]),
    ],
)
def test_what_cannot_be_right_is_a_fault(name: str, right: list[str], wrong: list[str]) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert not any(setting.fault(one) for one in right)
    assert all(setting.fault(one) for one in wrong)
