"""Instagram and Messenger: the handshake, the codes people send, what the brand may read of them, how it answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Delivery,
    Evidence,
    Inbound,
    Message,
    Misconfigured,
    Question,
    Rejected,
    Request,
    Response,
    SetUp,
    Source,
    Unavailable,
    code_of,
)
from bridge.kit.provider import Codes
from providers.social import instagram, messenger

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANN, IG, PAGE = "1234567890123456", "17841405309211844", "103149398319188"
SETTINGS: dict[str, dict[str, Any]] = {
    "instagram": {
        "verify_token": "meatyhamhock",
        "account_id": IG,
        "access_token": "brand",
        "username": "cool_brand",
    },
    "messenger": {
        "verify_token": "meatyhamhock",
        "page_id": PAGE,
        "access_token": "brand",
        "page_name": "cool.brand",
    },
}
GRAPH = {"instagram": "https://graph.instagram.com/v26.0", "messenger": "https://graph.facebook.com/v26.0"}
OWN = {"instagram": IG, "messenger": PAGE}
both = pytest.mark.parametrize("source", [instagram.source, messenger.source], ids=lambda one: one.name)


def answer(code: int = 200, given: Any = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode())


def no(code: Any, message: str = "?", status: int = 400, **more: Any) -> Response:
    return answer(status, error={"message": message, "type": "OAuthException", "code": code, **more})


def codes_of(source: Source) -> Codes:
    assert source.codes is not None
    return source.codes


# --- the handshake --------------------------------------------------------------------------------------------------


def handshake(source: Source, query: str, settings: Any = None) -> Any:
    inbound = Inbound(
        source=source.name, method="GET", url=f"https://bridge.example/webhooks/{source.name}?{query}", headers={},
        body=b"", received_at=NOW,
    )  # fmt: skip
    assert source.greet is not None
    return source.greet(inbound, SETTINGS[source.name] if settings is None else settings)


@both
def test_meta_is_greeted(source: Source) -> None:
    reply = handshake(source, "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock")
    assert (reply.status, reply.media_type, reply.body) == (200, "text/plain", b"1158201444")


@both
@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="nothing"),
        pytest.param("hub.mode=subscribe&hub.challenge=1&hub.verify_token=nope", id="another token"),
        pytest.param("hub.mode=subscribe&hub.challenge=1", id="no token"),
        pytest.param("hub.mode=subscribe&hub.challenge=1&hub.verify_token=", id="an empty token"),
        pytest.param("hub.mode=subscribe&hub.challenge=1&hub.verify_token=%C3%A4", id="no ASCII"),
        pytest.param("hub.mode=subscribe&hub.challenge=1&hub.verify_token=%FF", id="no UTF-8"),
        pytest.param("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=meatyhamhock", id="another mode"),
        pytest.param("hub.challenge=1&hub.verify_token=meatyhamhock", id="no mode"),
        pytest.param("hub.mode=subscribe&hub.verify_token=meatyhamhock", id="no challenge"),
        pytest.param("hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=meatyhamhock", id="a script"),
        pytest.param("hub.mode=subscribe&hub.challenge=1%0A2&hub.verify_token=meatyhamhock", id="two lines"),
        pytest.param(
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=meatyhamhock&hub.verify_token=nope", id="two tokens"
        ),
        pytest.param("hub_mode=subscribe&hub_challenge=1&hub_verify_token=meatyhamhock", id="PHP's names"),
        pytest.param(f"hub.mode=subscribe&hub.challenge={'1' * 129}&hub.verify_token=meatyhamhock", id="too long"),
    ],
)
def test_nobody_else_is(source: Source, query: str) -> None:
    with pytest.raises(Rejected) as refused:
        handshake(source, query)
    assert refused.value.status == 403


@both
def test_without_a_token_of_ours_none_fits(source: Source) -> None:
    with pytest.raises(Rejected):
        handshake(source, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=", {})


FOLDER = os.environ.get("BRIDGE_TEST_VECTORS")


@pytest.mark.skipif(not FOLDER, reason="BRIDGE_TEST_VECTORS names no folder with other people's vectors")
@both
def test_the_published_handshakes_and_signatures(source: Source) -> None:
    seen = 0
    for one in json.loads((Path(FOLDER or "") / "social.json").read_text("utf-8")):
        if one["scheme"] == "meta-handshake" and one["valid"]:
            reply = handshake(source, urlencode(one["query"]), {"verify_token": one["secret"]})
            assert reply.body.decode() == one["response"]
        elif one["scheme"] == "meta-handshake":
            with pytest.raises(Rejected):
                handshake(source, urlencode(one["query"]), {"verify_token": one["secret"]})
        elif one["provider"] == "meta" and one["scheme"] == "x-hub-256":
            headers = {name.lower(): value for name, value in one["headers"].items()}
            inbound = Inbound(
                source=source.name, method="POST", url="https://bridge.example/", headers=headers,
                body=one["body"].encode(), received_at=NOW,
            )  # fmt: skip
            assert source.scheme is not None
            try:
                source.scheme.verify(inbound, [one["secret"]], NOW)
            except Rejected:
                assert not one["valid"]
            else:
                assert one["valid"]
        else:
            continue
        seen += 1
    assert seen >= 5


# --- codes ----------------------------------------------------------------------------------------------------------


def delivered(source: Source, *events: dict[str, Any], own: str = "", **more: Any) -> Delivery:
    entry = {"id": own or OWN[source.name], "time": 1795175998123, "messaging": list(events), **more}
    body = {"object": "instagram" if source.name == "instagram" else "page", "entry": [entry]}
    return Delivery(
        source=source.name, method="POST", url="https://bridge.example/", headers={}, body=json.dumps(body).encode(),
        received_at=NOW, id="d", key="k",
    )  # fmt: skip


def event(sender: str = ANN, **more: Any) -> dict[str, Any]:
    return {"sender": {"id": sender}, "recipient": {"id": "x"}, "timestamp": 1795175998123, **more}


def message(text: Any, sender: str = ANN, **more: Any) -> dict[str, Any]:
    return event(sender, message={"mid": "m", "text": text, **more})


def heard(source: Source, *events: dict[str, Any], **more: Any) -> list[Message]:
    return list(codes_of(source).messages(delivered(source, *events, **more), SETTINGS[source.name]))


@both
@pytest.mark.parametrize(
    ("given", "code"),
    [
        pytest.param(message("My code is 123456"), "123456", id="with words around it"),
        pytest.param(message("١٢٣ ٤٥٦"), "123456", id="in Arabic digits"),
        pytest.param(message("१२३४५६"), "123456", id="in Devanagari"),
        pytest.param(message("hello"), None, id="no code"),
        pytest.param(event(referral={"ref": "123456", "source": "SHORTLINK", "type": "OPEN_THREAD"}), "123456",
                     id="a link into a conversation"),
        pytest.param(event(postback={"payload": "start", "referral": {"ref": "123456"}}), "123456",
                     id="a link, then Get Started"),
        pytest.param(message(None, referral={"ref": "123456"}), "123456", id="a link, then an ice breaker"),
    ],
)  # fmt: skip
def test_a_code_arrives_with_whoever_sent_it(source: Source, given: dict[str, Any], code: str | None) -> None:
    [one] = heard(source, given)
    assert (one.account, code_of(one)) == (ANN, code)
    assert one.at == datetime(2026, 11, 20, 11, 59, 58, 123000, tzinfo=UTC)


@both
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(message("123456", is_echo=True), id="an echo of ours"),
        pytest.param(message("123456", is_deleted=True), id="taken back"),
        pytest.param(event(message_edit={"mid": "m", "text": "123456"}), id="edited afterwards"),
        pytest.param(event(read={"watermark": 123456}), id="seen"),
        pytest.param(event(postback={"payload": "123456"}), id="a button of the brand's own"),
        pytest.param(event(reaction={"mid": "m", "emoji": "123456"}), id="a reaction"),
        pytest.param(message(["123456"]), id="no text"),
        pytest.param(event(delivery={"mids": ["123456"]}), id="delivered"),
    ],
)
def test_what_nobody_wrote_to_the_brand_carries_no_code(source: Source, given: dict[str, Any]) -> None:
    assert heard(source, given) == []


@both
def test_neither_the_brand_nor_another_account_sends_codes(source: Source) -> None:
    own = OWN[source.name]
    for given in (message("123456", own), event(own, referral={"ref": "123456"})):
        assert heard(source, given) == []
    assert heard(source, message("123456"), own="7") == []
    assert heard(source, standby=[message("123456")]) == []
    [one] = heard(source, {**message("123456"), "timestamp": None})
    assert one.at is None


def test_the_way_into_the_chat() -> None:
    assert codes_of(instagram.source).address("123456", SETTINGS["instagram"]) == (
        "https://ig.me/m/cool_brand?ref=123456"
    )
    assert codes_of(messenger.source).address("123456", SETTINGS["messenger"]) == "https://m.me/cool.brand?ref=123456"
    assert codes_of(messenger.source).address("1", {"page_id": PAGE}) == f"https://m.me/{PAGE}?ref=1"
    for source in (instagram.source, messenger.source):
        assert codes_of(source).address("123456", {}) == ""
        assert not codes_of(source).carries  # the page asks to send it: a link brings it only under conditions
        for check in source.checks.values():
            assert check.page is not None
            assert check.page(SETTINGS[source.name], None).startswith("https://")
            assert check.page({}, None) == ""


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_wrote() -> None:
    found = answer(id=ANN, name="Ann", username="ann", follower_count=120)
    account, [request] = play(codes_of(instagram.source).whoami(ANN, SETTINGS["instagram"]), found)
    assert account == Account(id=ANN, handle="ann", followers=120)
    assert (request.url, request.params) == (
        f"https://graph.instagram.com/v26.0/{ANN}",
        {"fields": "name,username,follower_count"},
    )
    assert request.headers == {"Authorization": "Bearer brand"}
    found = answer(id=ANN, first_name="Ann\n", last_name=None)
    account, [request] = play(codes_of(messenger.source).whoami(ANN, SETTINGS["messenger"]), found)
    assert account == Account(id=ANN, handle="Ann")
    assert request.url == f"https://graph.facebook.com/v26.0/{ANN}"


@both
@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(id="7", username="bob"),
        answer(201, id=ANN),
        no(190, "Error validating access token"),
        no(230, "(#230) User consent is required to access user profile"),
        no(100, error_subcode=33),
        no(190, status=200),
        Response(200, b"<html>"),
        Response(200, b"[" * 5000),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(source: Source, response: Response) -> None:
    with pytest.raises(Unavailable):
        play(codes_of(source).whoami(ANN, SETTINGS[source.name]), response)


@both
def test_an_account_leads_to_no_other_path(source: Source) -> None:
    with pytest.raises(Unavailable):
        play(codes_of(source).whoami("../me?x", SETTINGS[source.name]), no(100))
    talk = codes_of(source).whoami("../me?x", SETTINGS[source.name])
    assert next(talk).url.endswith("/..%2Fme%3Fx")


@both
def test_the_brand_answers_in_the_chat(source: Source) -> None:
    say = codes_of(source).say
    assert say is not None
    _, [request] = play(say(ANN, "Thank you", SETTINGS[source.name]), answer(recipient_id=ANN, message_id="m"))
    assert (request.method, request.url) == ("POST", f"{GRAPH[source.name]}/{OWN[source.name]}/messages")
    kind = {"messaging_type": "RESPONSE"} if source.name == "messenger" else {}
    assert request.json == {"recipient": {"id": ANN}, "message": {"text": "Thank you"}, **kind}
    _, [request] = play(say(ANN, "ä" * 2000, SETTINGS[source.name]), answer(200, {}))
    assert request.json["message"]["text"] == "ä" * 500
    with pytest.raises(Unavailable):
        play(say(ANN, "x", SETTINGS[source.name]), no(10, "outside of allowed window"))


# --- what is asked --------------------------------------------------------------------------------------------------

#: What Graph answers whoever asks: what stands in the way.
NOTHING_SAID = [
    pytest.param(no(190, "Error validating access token"), "brand", id="190: the token is over"),
    pytest.param(no(10, "no permission"), "brand", id="10: a permission is missing"),
    pytest.param(no(200, "no permission", 403), "brand", id="200: a permission is missing"),
    pytest.param(no(230, "User consent is required"), "reconnect", id="230: has not written for too long"),
    pytest.param(no(4, "Application request limit reached"), "busy", id="4: too many"),
    pytest.param(no(613, "rate limit"), "busy", id="613: too many"),
    pytest.param(no(80002), "busy", id="80002: too many"),
    pytest.param(no(2, status=500), "busy", id="2: Meta is broken"),
    pytest.param(no(9999, is_transient=True), "busy", id="it will pass"),
    pytest.param(no(100, error_subcode=33), "", id="100: there is nobody, or they have blocked the brand"),
    pytest.param(no(9010), "", id="9010: no such account"),
    pytest.param(no("190"), "", id="a code that is no number"),
    pytest.param(no(190, status=200), "brand", id="an error that comes with 200"),
    pytest.param(answer(401), "brand", id="401"),
    pytest.param(answer(403), "brand", id="403"),
    pytest.param(answer(404), "", id="404"),
    pytest.param(Response(404, b"<html>"), "", id="404 and a page"),
    pytest.param(Response(429), "busy", id="429"),
    pytest.param(Response(503, b"<html>"), "busy", id="503 and a page"),
    pytest.param(answer(200, {}), "", id="nothing in it"),
    pytest.param(answer(200, []), "", id="a list"),
    pytest.param(Response(204), "", id="204"),
    pytest.param(Response(200, b"<html>"), "", id="200 and a page"),
    pytest.param(Response(200, b"[" * 5000), "", id="200 and a deep nest"),
]


def asked(source: Source, action: str, *answers: Response, subject: str = "") -> tuple[Answer, list[Request]]:
    settings = SETTINGS[source.name]
    way = source.checks[action].way(settings)
    assert way is not None
    assert (way.scopes, way.keep) == ((), False)
    return play(way.ask(Ask(account=Account(id=ANN), settings=settings, now=NOW, subject=subject)), *answers)


@pytest.mark.parametrize(("response", "obstacle"), NOTHING_SAID)
def test_what_says_nothing_is_never_a_no(response: Response, obstacle: str) -> None:
    for source, action in ((instagram.source, "follow"), (instagram.source, "message"), (messenger.source, "message")):
        found, _ = asked(source, action, response)
        assert (found.result, found.obstacle) == ("unknown", obstacle)
        assert found.note


@pytest.mark.parametrize(
    ("response", "result"),
    [
        pytest.param(answer(id=ANN, username="ann", is_user_follow_business=True), "verified", id="follows"),
        pytest.param(answer(is_user_follow_business=True), "verified", id="follows, and the id is left out"),
        pytest.param(answer(id=ANN, username="ann", is_user_follow_business=False), "not_found", id="does not"),
        pytest.param(answer(id=ANN, username="ann"), "unknown", id="not said"),
        pytest.param(answer(id=ANN, is_user_follow_business=None), "unknown", id="null"),
        pytest.param(answer(id=ANN, is_user_follow_business="true"), "unknown", id="a word"),
        pytest.param(answer(id=ANN, is_user_follow_business=1), "unknown", id="a number"),
        pytest.param(answer(id="7", is_user_follow_business=True), "unknown", id="about another account"),
        pytest.param(answer(203, id=ANN, is_user_follow_business=True), "unknown", id="another success than 200"),
    ],
)
def test_whether_they_follow_on_instagram(response: Response, result: str) -> None:
    found, [request] = asked(instagram.source, "follow", response)
    assert found.result == result
    assert (found.evidence is not None) == (result == "verified")
    assert request.params == {"fields": "username,is_user_follow_business"}
    assert request.headers == {"Authorization": "Bearer brand"}
    question = Question(ANN, IG, f"{IG}:{ANN}")
    again, _ = play(instagram.source.rechecks["follow"](question, SETTINGS["instagram"]), response)
    assert again == found


def conversation(*senders: Any) -> dict[str, Any]:
    return {"id": "t_1", "messages": {"data": [{"id": "m", "from": {"id": one, "name": "N"}} for one in senders]}}


@both
@pytest.mark.parametrize(
    ("response", "result"),
    [
        pytest.param(answer(data=[conversation("9", ANN)]), "verified", id="has written"),
        pytest.param(answer(data=[]), "not_found", id="there is no conversation"),
        pytest.param(answer(data=[conversation("9")]), "unknown", id="only the brand has written of late"),
        pytest.param(answer(data=[{"id": "t_1"}, 7, conversation(7)]), "unknown", id="nothing readable in it"),
        pytest.param(answer(203, data=[]), "unknown", id="another success than 200"),
    ],
)
def test_whether_they_have_written(source: Source, response: Response, result: str) -> None:
    found, [request] = asked(source, "message", response)
    assert found.result == result
    assert request.url == f"{GRAPH[source.name]}/{OWN[source.name]}/conversations"
    assert request.params == {"platform": source.name, "user_id": ANN, "fields": "messages.limit(20){from}"}


def test_one_fact_is_one_fact_by_whichever_door_it_comes() -> None:
    for source in (instagram.source, messenger.source):
        assert source.read is not None
        told: Any = source.read(delivered(source, message("hi")), SETTINGS[source.name])
        found, _ = asked(source, "message", answer(data=[conversation(ANN)]))
        # The form of these keys has paid: it may never change.
        own = OWN[source.name]
        fact = Evidence(action="message", key=f"{own}:{ANN}", account=ANN, subject=own)
        assert found.evidence == fact
        assert [replace(one, occurred_at=None) for one in told] == [fact]
    found, _ = asked(instagram.source, "follow", answer(username="ann", is_user_follow_business=True))
    assert found.evidence == Evidence(
        action="follow", key=f"{IG}:{ANN}", account=ANN, subject=IG, facts={"username": "ann"}
    )


@both
def test_asked_again_it_is_about_the_same_account(source: Source) -> None:
    for action in source.checks:
        said = answer(data=[conversation(ANN)], is_user_follow_business=True)
        found, _ = asked(source, action, said, subject="77777")
        assert found.evidence is not None
        assert found.evidence.key == f"77777:{ANN}"


@both
def test_without_the_brands_token_nobody_can_ask(source: Source) -> None:
    for check in source.checks.values():
        assert check.way({**SETTINGS[source.name], "access_token": ""}) is None


def test_what_meta_allows_and_what_it_forbids() -> None:
    rules = {
        f"{source.name}.{verb}": action.policy.forbidden
        for source in (instagram.source, messenger.source)
        for verb, action in source.actions.items()
        if action.policy
    }
    assert rules == {
        "instagram.follow": True,
        "instagram.message": False,
        "instagram.story": True,
        "instagram.comment": True,
        "messenger.message": False,
    }


@both
def test_a_name_in_place_of_an_id_is_a_fault(source: Source) -> None:
    faults = {one.name: one.fault for one in source.settings if one.fault}
    for name, fault in faults.items():
        right = SETTINGS[source.name][name]
        assert fault(right) == ""
        assert fault("cool brand") != ""


# --- set up ---------------------------------------------------------------------------------------------------------


def wanted(source: Source, **changed: Any) -> SetUp:
    url = f"https://bridge.example/webhooks/{source.name}"
    return SetUp(settings=SETTINGS[source.name], url=url, secret="s", actions=frozenset(), now=NOW, **changed)


def me(source: Source, own: str = "") -> Response:
    return answer(**{"user_id" if source.name == "instagram" else "id": own or OWN[source.name]})


def fields(source: Source) -> list[str]:
    referral = "messaging_referral" if source.name == "instagram" else "messaging_referrals"
    return ["messages", "messaging_postbacks", referral, *(["comments"] if source.name == "instagram" else [])]


def set_up(source: Source) -> Callable[[SetUp], Any]:
    assert source.setup is not None
    return source.setup


@both
def test_the_inbox_is_subscribed_to_and_nothing_is_taken_from_it(source: Source) -> None:
    there = answer(data=[{"id": "1", "subscribed_fields": ["messages", "feed"]}])
    done, asked_ = play(set_up(source)(wanted(source)), me(source), there, answer(success=True))
    assert asked_[-1].method == "POST"
    assert asked_[-1].url == f"{GRAPH[source.name]}/{OWN[source.name]}/subscribed_apps"
    assert asked_[-1].form == {"subscribed_fields": ",".join(sorted({"feed", *fields(source)}))}
    assert done.did == [f"{source.title} tells of {', '.join(fields(source)[1:])}"]
    assert "verify_token" in done.left[-1]


@both
def test_a_dry_run_reads_alone(source: Source) -> None:
    done, asked_ = play(set_up(source)(wanted(source, dry_run=True)), me(source), answer(data=[]))
    assert {one.method for one in asked_} == {"GET"}
    assert done.did[0].startswith("would be set: ")
    whole = answer(data=[{"subscribed_fields": fields(source)}, {"subscribed_fields": None}, 7])
    done, _ = play(set_up(source)(wanted(source)), me(source), whole)
    assert done.did == []


@both
def test_a_token_of_another_account_is_noticed(source: Source) -> None:
    done, asked_ = play(set_up(source)(wanted(source)), me(source, "77777"))
    assert "77777" in done.left[0]
    assert len(asked_) == 1
    bare = replace(wanted(source), settings={})
    done, asked_ = play(set_up(source)(bare))
    assert "access_token" in done.left[0]
    assert not asked_


@both
@pytest.mark.parametrize(
    ("response", "error"),
    [(no(190), Misconfigured), (no(10), Misconfigured), (no(4), Unavailable), (Response(500), Unavailable)],
)
def test_a_refused_set_up_says_whose_fault_it_is(source: Source, response: Response, error: type[Exception]) -> None:
    for answers in ([response], [me(source), response], [me(source), answer(data=[]), response]):
        with pytest.raises(error) as caught:
            play(set_up(source)(wanted(source)), *answers)
        assert type(caught.value) is error
