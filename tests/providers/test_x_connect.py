"""X asked for a customer: who signed in, whether they follow, have reposted, have replied."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BridgeError,
    Delivery,
    Disconnected,
    Evidence,
    Misconfigured,
    Question,
    Request,
    Response,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import callback, exchange, refresh, revoke
from providers.social._x_posts import PAGES
from providers.social.x import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BRAND, ANN_ID = "4444444444444444444", "1111111111111111111"


def snowflake(at: datetime) -> str:
    return str((int(at.timestamp() * 1000) - 1288834974657) << 22)


POST = snowflake(NOW - timedelta(days=2))
OLD_POST = snowflake(NOW - timedelta(days=30))
SETTINGS = {
    "client_id": "client",
    "client_secret": "secret",
    "user_id": BRAND,
    "post_id": POST,
    "username": "cool_brand",
}
BRANDS = {**SETTINGS, "bearer_token": "app"}
TOKENS = Tokens(access="theirs", refresh="more")
ANN = Account(id=ANN_ID, handle="ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS)
ASK_BRAND = replace(ASK, settings=BRANDS, tokens=None)
ME = ("tweet.read", "users.read")
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=ME)
OAUTH = source.oauth
assert OAUTH is not None


def answer(code: int = 200, given: Any = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode())


def asked(action: str, ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks[action].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


NOT_ENROLLED = answer(
    403,
    reason="client-not-enrolled",
    title="Client Forbidden",
    type="https://api.twitter.com/2/problems/client-forbidden",
)
NO_CREDIT = answer(402, title="CreditsDepleted", type="https://api.twitter.com/2/problems/credits")
WRONG_TOKEN = answer(
    403,
    title="Unsupported Authentication",
    type="https://api.twitter.com/2/problems/unsupported-authentication",
)
#: What X answers whoever asks, whatever they ask: result, and what stands in the customer's way and in the brand's.
NOTHING_SAID = [
    pytest.param(answer(401, title="Unauthorized"), "reconnect", "brand", id="401"),
    pytest.param(answer(403, title="Forbidden"), "reconnect", "brand", id="403"),
    pytest.param(NOT_ENROLLED, "brand", "brand", id="the application is in no project"),
    pytest.param(WRONG_TOKEN, "brand", "brand", id="a token of another kind"),
    pytest.param(NO_CREDIT, "brand", "brand", id="402: there is no credit left"),
    pytest.param(answer(404, title="Not Found Error"), "", "", id="404"),
    pytest.param(Response(404, b"<html>"), "", "", id="404 and a page"),
    pytest.param(answer(400, title="Invalid Request"), "", "", id="400"),
    pytest.param(Response(429), "busy", "busy", id="429"),
    pytest.param(Response(500), "busy", "busy", id="500"),
    pytest.param(Response(503, b"<html>"), "busy", "busy", id="503 and a page"),
    pytest.param(answer(200, {}), "", "", id="nothing in it"),
    pytest.param(answer(200, []), "", "", id="a list"),
    pytest.param(Response(204), "", "", id="204"),
    pytest.param(Response(200, b"<html>"), "", "", id="200 and a page"),
    pytest.param(Response(200, b"[" * 5000), "", "", id="200 and a deep nest"),
]


@pytest.mark.parametrize(("response", "customers", "brands"), NOTHING_SAID)
@pytest.mark.parametrize("action", ["follow", "repost", "reply"])
def test_what_says_nothing_is_never_a_no(action: str, response: Response, customers: str, brands: str) -> None:
    found, _ = asked(action, ASK, response)
    assert (found.result, found.obstacle) == ("unknown", customers)
    assert found.note
    if action == "follow":
        return  # there is no other way to ask
    found, _ = asked(action, ASK_BRAND, response)
    assert (found.result, found.obstacle) == ("unknown", brands)
    found, _ = play(source.rechecks[action](Question(ANN_ID, POST, "k"), BRANDS), response)
    assert (found.result, found.obstacle) == ("unknown", brands)


def test_how_long_x_wants_to_be_left_alone() -> None:
    reset = {"x-rate-limit-reset": str(int(NOW.timestamp()) + 90)}
    found, _ = asked("follow", ASK, Response(429, headers=reset, at=NOW))
    assert found.retry_after == timedelta(seconds=90)
    for headers in ({}, {"x-rate-limit-reset": "soon"}, {"x-rate-limit-reset": "9" * 30}):
        assert asked("follow", ASK, Response(429, headers=headers, at=NOW))[0].retry_after is None


# --- signing in -----------------------------------------------------------------------------------------------------


def exchanged(response: Response) -> tuple[Tokens, list[Request]]:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)


def test_a_code_becomes_a_token() -> None:
    documented = answer(token_type="bearer", expires_in=7200, access_token="a", scope="users.read tweet.read")
    tokens, [request] = exchanged(documented)
    assert (tokens.scopes, tokens.refresh) == (set(ME), "")
    assert request.headers["Authorization"] == "Basic Y2xpZW50OnNlY3JldA=="
    assert (request.form or {})["code_verifier"] == "v" * 43


def test_more_is_asked_for_only_where_it_is_needed() -> None:
    follow, repost = source.checks["follow"], source.checks["repost"]
    ways = [follow.way(BRANDS), repost.way(SETTINGS), repost.way(BRANDS)]
    assert [(wanted(OAUTH, way), way.keep) for way in ways if way] == [
        ((*ME, "follows.read", "offline.access"), True),
        ((*ME, "offline.access"), True),
        (ME, False),
    ]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(
            answer(
                400, error="invalid_request", error_description="Value passed for the authorization code was invalid."
            ),
            SignInRefused,
            id="the code is over, after thirty seconds",
        ),
        pytest.param(
            answer(401, error="unauthorized_client", error_description="Missing valid authorization header"),
            Misconfigured,
            id="the secret is wrong",
        ),
        pytest.param(NOT_ENROLLED, Unavailable, id="the application is in no project"),
        pytest.param(Response(503, b"<html>"), Unavailable, id="503 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(400, error="invalid_request"))


def test_both_tokens_are_given_back() -> None:
    gone, requests = play(revoke(OAUTH, TOKENS, SETTINGS), answer(revoked=True), answer(revoked=True))
    assert gone
    assert [dict(one.form or {}) for one in requests] == [{"token": "more"}, {"token": "theirs"}]
    assert {one.url for one in requests} == {"https://api.x.com/2/oauth2/revoke"}


# --- who ------------------------------------------------------------------------------------------------------------

USER = {
    "id": ANN_ID,
    "username": "ann",
    "name": "Ann",
    "created_at": "2013-12-14T04:35:55.000Z",
    "protected": False,
    "public_metrics": {"followers_count": 507, "following_count": 1},
}


def test_who_signed_in_since_when_and_how_many_follow() -> None:
    assert source.whoami is not None
    account, [request] = play(source.whoami(TOKENS, SETTINGS), answer(data=USER))
    assert (account.id, account.handle, account.followers) == (ANN_ID, "ann", 507)
    assert account.created_at == datetime(2013, 12, 14, 4, 35, 55, tzinfo=UTC)
    assert account.claims == {"protected": False}
    assert (request.url, request.params) == (
        "https://api.x.com/2/users/me",
        {"user.fields": "created_at,protected,public_metrics"},
    )
    bare, _ = play(source.whoami(TOKENS, SETTINGS), answer(data={"id": "1", "username": "a", "public_metrics": 7}))
    assert (bare.created_at, bare.followers) == (None, None)


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(data=None),
        answer(data={**USER, "id": 7}),
        answer(data={**USER, "id": ""}),
        answer(data={**USER, "id": "ann"}),
        answer(data={**USER, "id": "٣"}),
        answer(data={**USER, "id": "7\n"}),
        answer(data={**USER, "username": None}),
        answer(data={**USER, "username": "a\x00"}),
        answer(201, data=USER),
        answer(401, title="Unauthorized"),
        NOT_ENROLLED,
        Response(200, b"<html>"),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- follow ---------------------------------------------------------------------------------------------------------


def brand(*connected: str, **changed: Any) -> Response:
    status = {"connection_status": list(connected)} if connected else {}
    return answer(data={"id": BRAND, "name": "Cool", "username": "cool_brand", **status, **changed})


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(brand("following"), "verified", "", id="follows"),
        pytest.param(brand("followed_by", "following", "muting"), "verified", "", id="follows among other things"),
        pytest.param(brand("follow_request_sent"), "pending", "", id="has asked to follow"),
        pytest.param(brand("followed_by"), "not_found", "", id="is followed"),
        pytest.param(brand("blocking"), "not_found", "", id="blocks the brand"),
        pytest.param(brand(), "not_found", "", id="nothing at all is left out"),
        pytest.param(brand(connection_status=[]), "not_found", "", id="nothing at all"),
        pytest.param(brand(connection_status="following"), "unknown", "", id="no list"),
        pytest.param(brand("following", id="7"), "unknown", "", id="about another account"),
        pytest.param(
            answer(errors=[{"title": "Not Found Error", "resource_id": BRAND}]), "unknown", "brand", id="no such brand"
        ),
        pytest.param(
            answer(data={"id": BRAND}, errors=[{"title": "Field Authorization Error"}]),
            "unknown",
            "brand",
            id="the field may not be seen",
        ),
    ],
)
def test_a_follow_by_the_customers_word(response: Response, result: str, obstacle: str) -> None:
    found, [request] = asked("follow", ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert request.url == f"https://api.x.com/2/users/{BRAND}"
    assert request.params == {"user.fields": "connection_status"}
    assert request.headers == {"Authorization": "Bearer theirs"}


# --- repost ---------------------------------------------------------------------------------------------------------


def rows(*found: Any, following: str = "", **more: Any) -> Response:
    meta: dict[str, Any] = {"result_count": len(found), **({"next_token": following} if following else {})}
    return answer(meta=meta, **({"data": list(found)} if found else {}), **more)


def user(name: str) -> dict[str, Any]:
    return {"id": name, "username": "u", "name": "U"}


@pytest.mark.parametrize("ask", [ASK, ASK_BRAND], ids=["the customer", "the brand"])
@pytest.mark.parametrize(
    ("answers", "result"),
    [
        pytest.param([rows(user("7"), user(ANN_ID))], "verified", id="listed"),
        pytest.param([rows(user("7"), following="b"), rows(user(ANN_ID))], "verified", id="on the second page"),
        pytest.param([rows(user("7"), following="b"), rows(user("8"))], "not_found", id="on no page"),
        pytest.param([rows()], "not_found", id="nobody has"),
        pytest.param([rows(user("7"), following="b")] * PAGES, "unknown", id="too many to look through"),
        pytest.param([rows(user("7"), following="b"), Response(500)], "unknown", id="500 in between"),
        pytest.param([rows(user("7"), errors=[{"title": "?"}])], "unknown", id="a list with gaps"),
        pytest.param([answer(data=[user(ANN_ID)])], "unknown", id="a list without its count"),
        pytest.param([rows("a", None)], "not_found", id="rows that are none"),
    ],
)
def test_a_repost(answers: list[Response], result: str, ask: Ask) -> None:
    found, requests = asked("repost", ask, *answers)
    assert found.result == result
    assert {one.url for one in requests} == {f"https://api.x.com/2/tweets/{POST}/retweeted_by"}
    assert [one.params.get("pagination_token") for one in requests] == [None, *["b"] * (len(requests) - 1)]
    token = "theirs" if ask.tokens else "app"
    assert {one.headers["Authorization"] for one in requests} == {f"Bearer {token}"}


# --- reply ----------------------------------------------------------------------------------------------------------


def reply(name: str = "20", author: str = ANN_ID, to: str = POST, **changed: Any) -> dict[str, Any]:
    said = {
        "id": name,
        "author_id": author,
        "text": "So good",
        "created_at": "2026-11-20T11:00:00.000Z",
        "referenced_tweets": [{"type": "replied_to", "id": to}],
    }
    return {**said, **changed}


@pytest.mark.parametrize("ask", [ASK, ASK_BRAND], ids=["the customer", "the brand"])
@pytest.mark.parametrize(
    ("answers", "result"),
    [
        pytest.param([rows(reply())], "verified", id="has replied"),
        pytest.param([rows(reply(to="7"))], "not_found", id="has replied to another reply"),
        pytest.param([rows(reply(author="7"))], "not_found", id="somebody else has"),
        pytest.param([rows(reply(referenced_tweets=None))], "not_found", id="a post that answers none"),
        pytest.param([rows(reply(referenced_tweets=[7]))], "not_found", id="a list of something else"),
        pytest.param([rows()], "not_found", id="nothing is found"),
        pytest.param([rows(reply(to="7"), following="b"), rows(reply())], "verified", id="on the second page"),
        pytest.param([rows(reply(to="7"), following="b")] * PAGES, "unknown", id="too many to look through"),
        pytest.param([rows(reply(), errors=[{"title": "?"}])], "unknown", id="a list with gaps"),
    ],
)
def test_a_reply(answers: list[Response], result: str, ask: Ask) -> None:
    found, requests = asked("reply", ask, *answers)
    assert found.result == result
    assert requests[0].url == "https://api.x.com/2/tweets/search/recent"
    assert requests[0].params["query"] == f"from:{ANN_ID} conversation_id:{POST}"


@pytest.mark.parametrize(
    ("post", "since", "result"),
    [
        pytest.param(POST, None, "not_found", id="the post is two days old"),
        pytest.param(OLD_POST, None, "unknown", id="the post is older than search"),
        pytest.param(OLD_POST, timedelta(days=1), "not_found", id="they were asked yesterday"),
        pytest.param(OLD_POST, timedelta(days=8), "unknown", id="they were asked before search begins"),
    ],
)
def test_no_reply_is_only_believed_as_far_as_search_reaches(post: str, since: timedelta | None, result: str) -> None:
    ask = replace(ASK, settings={**SETTINGS, "post_id": post}, since=NOW - since if since else None)
    assert asked("reply", ask, rows())[0].result == result
    # Asked again nobody says how old the reply is.
    assert play(source.rechecks["reply"](Question(ANN_ID, post, "k"), BRANDS), rows())[0].result == "unknown"


def test_the_first_of_several_replies_is_the_fact() -> None:
    found, _ = asked("reply", ASK, rows(reply("31", text="later"), reply("30", text="first"), reply(id=7)))
    assert found.evidence is not None
    assert found.evidence.facts == {"text": "So good"}  # an id that is none comes before all others
    found, _ = asked("reply", ASK, rows(reply("31", text="later"), reply("30", text="first")))
    assert found.evidence is not None
    assert found.evidence.facts == {"text": "first"}
    found, _ = asked("reply", ASK, rows(reply("30", text=["first"], created_at=["soon"])))
    assert found.evidence is not None
    assert (found.evidence.facts, found.evidence.occurred_at) == ({"text": ""}, None)


@pytest.mark.parametrize("action", ["repost", "reply"])
def test_of_a_protected_account_no_says_nothing(action: str) -> None:
    hidden = replace(ASK_BRAND, account=replace(ANN, claims={"protected": True}))
    found, _ = asked(action, hidden, rows())
    assert (found.result, found.obstacle) == ("unknown", "private")
    found, _ = asked(action, hidden, rows(user(ANN_ID) | reply(ANN_ID)))
    assert found.result == "verified"


# --- one fact -------------------------------------------------------------------------------------------------------


def delivered(kind: str, payload: dict[str, Any]) -> Evidence:
    body = {"data": {"event_type": kind, "filter": {"user_id": BRAND}, "payload": payload}}
    delivery = Delivery(
        source="x", method="POST", url="https://bridge.example/", headers={}, body=json.dumps(body).encode(),
        received_at=NOW, id="d", key="k",
    )  # fmt: skip
    assert source.read is not None
    read = source.read(delivery, SETTINGS)
    assert isinstance(read, Iterable)
    [evidence] = read
    assert isinstance(evidence, Evidence)
    return evidence


def test_one_fact_is_one_fact_by_whichever_door_it_comes() -> None:
    followed = {"source": {"data": {"id": ANN_ID, "username": "ann"}}, "target": {"data": {"id": BRAND}}}
    reposted = {**reply(), "referenced_tweets": [{"type": "retweeted", "id": POST}]}
    told = [
        delivered("follow.follow", followed),
        delivered("post.repost.create", reposted),
        delivered("post.reply.create", reply()),
    ]
    answers = [("follow", brand("following")), ("repost", rows(user(ANN_ID))), ("reply", rows(reply()))]
    found = [asked(action, ASK, response)[0].evidence for action, response in answers]
    # The form of these keys has paid: it may never change.
    assert [one.key for one in told] == [f"{BRAND}:{ANN_ID}", f"{POST}:{ANN_ID}", f"{POST}:{ANN_ID}"]
    assert found == [told[0], replace(told[1], occurred_at=None), told[2]]  # who has reposted is listed without a time
    for action, response in answers[1:]:
        again, _ = play(source.rechecks[action](Question(ANN_ID, POST, "k"), BRANDS), response)
        assert again.evidence in found


@pytest.mark.parametrize("action", ["follow", "repost", "reply"])
def test_what_is_missing_is_said_without_asking(action: str) -> None:
    assert asked(action, replace(ASK, settings={"client_id": "client"}))[0].obstacle == "brand"
    assert asked(action, replace(ASK, tokens=None))[0].obstacle == "reconnect"


@pytest.mark.parametrize("action", ["repost", "reply"])
def test_asked_again_it_is_about_the_same_post(action: str) -> None:
    _, [request] = asked(action, replace(ASK_BRAND, subject="77"), rows())
    assert "77" in request.url + request.params.get("query", "")


def test_an_account_that_an_operator_mistyped_becomes_no_other_question() -> None:
    found, requests = play(source.rechecks["reply"](Question("7 OR from:8", POST, "k"), BRANDS))
    assert found.result == "unknown"
    assert not requests


def test_where_it_is_done() -> None:
    pages = [source.checks[action].page for action in ("follow", "repost", "reply")]
    assert [page(SETTINGS, None) for page in pages if page] == [
        "https://x.com/intent/follow?screen_name=cool_brand",
        f"https://x.com/intent/retweet?tweet_id={POST}",
        f"https://x.com/intent/post?in_reply_to={POST}",
    ]
    assert [page({}, None) for page in pages if page] == ["", "", ""]


def test_all_of_it_is_forbidden_by_x() -> None:
    assert all(action.policy and action.policy.forbidden for action in source.actions.values())
