"""YouTube asked for a customer: whose channel it is, what it subscribes to, likes and has written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Disconnected,
    Evidence,
    Misconfigured,
    Request,
    Response,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, lacking, refresh, revoke
from providers.social.youtube import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BRAND, VIDEO, ANN = "UC_x5XG1OV2P6uZZ5FSM9Ttw", "wtLJPvx7-ys", "UCann0000000000000000000"
COMMENT = "UgxKREWxIgDrw8w2e_Z4AaABAg"
LINK = f"https://www.youtube.com/watch?v={VIDEO}&lc={COMMENT}"
READ = "https://www.googleapis.com/auth/youtube.readonly"
SETTINGS = {"client_id": "client", "client_secret": "secret", "channel_id": BRAND, "video_id": VIDEO, "api_key": "k"}
TOKENS = Tokens(access="theirs", refresh="more")
ACCOUNT = Account(id=ANN, handle="@ann")
ASK = Ask(account=ACCOUNT, settings=SETTINGS, now=NOW, tokens=TOKENS)
GIVEN = replace(ASK, tokens=None, given=LINK)
OAUTH = source.oauth
assert OAUTH is not None
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=(READ,))
AT = datetime(2026, 11, 19, 10, 0, tzinfo=UTC)


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


def rows(*found: Any, status: int = 200) -> Response:
    return answer(status, kind="youtube#listResponse", items=list(found), pageInfo={"totalResults": len(found)})


def no(status: int, reason: str) -> Response:
    errors = [{"message": "m", "domain": "youtube", "reason": reason}]
    return answer(status, error={"code": status, "message": "m", "errors": errors})


def asked(action: str, ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks[action].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


# --- signing in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "again", "prompt", "access"),
    [
        (False, False, None, None),
        (True, False, ["consent"], ["offline"]),
        (True, True, ["select_account consent"], ["offline"]),
    ],
)
def test_there_is_something_to_renew_with_where_it_is_needed(
    keep: bool, again: bool, prompt: list[str] | None, access: list[str] | None
) -> None:
    address, _ = play(begin(OAUTH, SIGN_IN, "s" * 32, SETTINGS, NOW, keep=keep, again=again))
    query = parse_qs(urlsplit(address).query)
    assert (query.get("prompt"), query.get("access_type")) == (prompt, access)
    assert (query["scope"], query["code_challenge_method"]) == ([READ], ["S256"])


def test_a_box_that_was_unticked_is_noticed() -> None:
    ok = answer(access_token="1/fFAGRNJru1FTz70BzhT3Zg", expires_in=3920, token_type="Bearer", scope=f"{READ} openid")
    tokens, _ = play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), ok)
    assert lacking(OAUTH, tokens, (READ,)) == ()
    assert lacking(OAUTH, replace(tokens, scopes=frozenset({"openid"})), (READ,)) == (READ,)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is used or over"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, error="redirect_uri_mismatch"), Misconfigured, id="the redirect is not registered"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
        pytest.param(Response(503), Unavailable, id="503"),
    ],
)
def test_no_token(response: Response, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    over = answer(400, error="invalid_grant", error_description="Token has been expired or revoked.")
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), over)


@pytest.mark.parametrize(
    ("tokens", "response", "given", "gone"),
    [
        (TOKENS, Response(200), "more", True),
        (replace(TOKENS, refresh=""), Response(200), "theirs", True),
        (TOKENS, answer(400, error="invalid_token"), "more", True),
        (TOKENS, answer(400, error="invalid_request"), "more", False),
        (TOKENS, Response(503), "more", False),
    ],
)
def test_one_token_given_back_ends_both(tokens: Tokens, response: Response, given: str, gone: bool) -> None:
    found, [request] = play(revoke(OAUTH, tokens, SETTINGS), response)
    assert found is gone
    assert (request.method, request.url, request.form) == (
        "POST",
        "https://oauth2.googleapis.com/revoke",
        {"token": given},
    )


def test_what_each_check_asks_for() -> None:
    assert source.configure is not None
    forced = source.configure(source, {"like_scope": "youtube.force-ssl"})
    ways = [one.checks[action].way(SETTINGS) for one in (source, forced) for action in ("subscribe", "like", "comment")]
    force = "https://www.googleapis.com/auth/youtube.force-ssl"
    assert [(wanted(OAUTH, way), way.keep) for way in ways if way] == [
        ((READ,), True),
        ((READ,), True),
        ((READ,), False),  # who it is, and nothing to keep
        ((READ,), True),
        ((READ, force), True),
        ((READ,), False),
    ]
    assert source.checks["comment"].way({**SETTINGS, "api_key": ""}) is None


# --- who ------------------------------------------------------------------------------------------------------------

CHANNEL = {
    "id": ANN,
    "snippet": {"title": "Ann", "customUrl": "@ann", "publishedAt": "2012-04-23T18:25:43.511Z"},
    "statistics": {"subscriberCount": "42", "hiddenSubscriberCount": False},
}


def test_who_signed_in() -> None:
    assert source.whoami is not None
    account, [request] = play(source.whoami(TOKENS, SETTINGS), rows(CHANNEL))
    born = datetime(2012, 4, 23, 18, 25, 43, 511000, tzinfo=UTC)
    assert account == Account(id=ANN, handle="@ann", created_at=born, followers=42)
    assert request.url == "https://www.googleapis.com/youtube/v3/channels"
    assert request.params == {"part": "id,snippet,statistics", "mine": "true"}
    assert request.headers == {"Authorization": "Bearer theirs"}


@pytest.mark.parametrize(
    "statistics",
    [None, {}, {"subscriberCount": "42", "hiddenSubscriberCount": True}, {"subscriberCount": "many"}, []],
)
def test_followers_that_are_hidden_are_not_none_at_all(statistics: Any) -> None:
    assert source.whoami is not None
    account, _ = play(source.whoami(TOKENS, SETTINGS), rows({**CHANNEL, "statistics": statistics}))
    assert account.followers is None


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(rows(), id="an empty list"),
        pytest.param(answer(kind="youtube#channelListResponse", pageInfo={"totalResults": 0}), id="no list at all"),
    ],
)
def test_somebody_without_a_channel_is_told_what_to_do(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(SignInRefused, match="has no YouTube channel"):
        play(source.whoami(TOKENS, SETTINGS), response)


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(items=None),
        rows("ann"),
        rows({}),
        rows({**CHANNEL, "id": None}),
        rows({**CHANNEL, "snippet": {"title": ["Ann"]}}),
        rows({**CHANNEL, "snippet": {"title": "A\nnn"}}),
        rows(CHANNEL, status=203),
        no(401, "authError"),
        no(403, "quotaExceeded"),
        Response(200, b"<html>"),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- subscribe ------------------------------------------------------------------------------------------------------


def subscription(channel: str = BRAND, subscriber: str = ANN, at: Any = "2026-11-19T10:00:00Z") -> dict[str, Any]:
    there = {"kind": "youtube#channel", "channelId": channel}
    return {"id": "s", "snippet": {"publishedAt": at, "channelId": subscriber, "resourceId": there}}


REFUSALS = [
    pytest.param(no(401, "youtubeSignupRequired"), "incomplete", id="401: the account has no channel"),
    pytest.param(no(404, "subscriberNotFound"), "incomplete", id="404: there is no such subscriber"),
    pytest.param(no(403, "accountClosed"), "reconnect", id="403: the account is closed"),
    pytest.param(no(403, "accountSuspended"), "reconnect", id="403: the account is suspended"),
    pytest.param(no(403, "subscriptionForbidden"), "private", id="403: the subscriptions are private"),
    pytest.param(no(403, "insufficientPermissions"), "reconnect", id="403: the scope is missing"),
    pytest.param(no(403, "quotaExceeded"), "busy", id="403: the day's quota is used up"),
    pytest.param(no(403, "accessNotConfigured"), "brand", id="403: the API is switched off"),
    pytest.param(no(401, "authError"), "reconnect", id="401: the token is over"),
    pytest.param(no(400, "badRequest"), "", id="400"),
    pytest.param(Response(401, b"<html>"), "reconnect", id="401 and a page"),
    pytest.param(Response(403), "reconnect", id="403 and nothing"),
    pytest.param(Response(404, b"<html>"), "", id="404 and a page"),
    pytest.param(Response(429), "busy", id="429"),
    pytest.param(no(500, "backendError"), "busy", id="500"),
    pytest.param(Response(503, b"<html>"), "busy", id="503 and a page"),
    pytest.param(Response(200, b"<html>"), "", id="200 and a page"),
    pytest.param(answer(200), "", id="200 and nothing in it"),
    pytest.param(answer(items=None), "", id="no list"),
    pytest.param(rows("x"), "", id="a list of something else"),
    pytest.param(rows(status=203), "", id="another success than 200"),
    pytest.param(Response(204), "", id="204"),
    pytest.param(answer(403, error={"errors": [7]}), "reconnect", id="an error in another form"),
    pytest.param(answer(403, error="no"), "reconnect", id="an error in one word"),
]


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(rows(subscription()), "verified", "", id="subscribes"),
        pytest.param(rows(), "not_found", "", id="does not"),
        pytest.param(rows(subscription("UCother")), "unknown", "", id="about another channel"),
        pytest.param(rows(subscription(subscriber="UCbob")), "unknown", "reconnect", id="for another of theirs"),
        pytest.param(rows({}), "unknown", "", id="a row with nothing in it"),
    ],
)
def test_a_subscription(response: Response, result: str, obstacle: str) -> None:
    found, [request] = asked("subscribe", ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert request.url == "https://www.googleapis.com/youtube/v3/subscriptions"
    assert request.params == {"part": "snippet", "mine": "true", "forChannelId": BRAND, "maxResults": "1"}


@pytest.mark.parametrize("action", ["subscribe", "like"])
@pytest.mark.parametrize(("response", "obstacle"), REFUSALS)
def test_no_answer_is_no_no(action: str, response: Response, obstacle: str) -> None:
    found, _ = asked(action, ASK, response)
    assert (found.result, found.obstacle, found.evidence) == ("unknown", obstacle, None)
    assert found.note


def test_a_quota_that_is_used_up_is_left_alone_for_an_hour() -> None:
    assert asked("subscribe", ASK, no(403, "quotaExceeded"))[0].retry_after == timedelta(hours=1)
    waits = Response(429, headers={"retry-after": "7"})
    assert asked("subscribe", ASK, waits)[0].retry_after == timedelta(seconds=7)


# --- like -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "result"),
    [
        pytest.param(rows({"videoId": VIDEO, "rating": "like"}), "verified", id="likes"),
        pytest.param(rows({"videoId": VIDEO, "rating": "none"}), "not_found", id="does not"),
        pytest.param(rows({"videoId": VIDEO, "rating": "dislike"}), "not_found", id="dislikes"),
        pytest.param(rows({"videoId": VIDEO, "rating": "unspecified"}), "unknown", id="unspecified"),
        pytest.param(rows({"videoId": VIDEO}), "unknown", id="not said"),
        pytest.param(rows({"videoId": "other", "rating": "like"}), "unknown", id="about another video"),
        pytest.param(rows({"videoId": "other", "rating": "none"}), "unknown", id="about another video, with a no"),
        pytest.param(rows(), "unknown", id="about none"),
        pytest.param(rows({"videoId": VIDEO, "rating": ["like"]}), "unknown", id="in another form"),
    ],
)
def test_a_like(response: Response, result: str) -> None:
    found, [request] = asked("like", ASK, response)
    assert found.result == result
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert (request.url, request.params) == (
        "https://www.googleapis.com/youtube/v3/videos/getRating",
        {"id": VIDEO},
    )


# --- comment --------------------------------------------------------------------------------------------------------

SAID = {
    "authorDisplayName": "@ann",
    "authorChannelId": {"value": ANN},
    "channelId": BRAND,
    "videoId": VIDEO,
    "textDisplay": "Lovely!",
    "publishedAt": "2026-11-19T10:00:00Z",
    "updatedAt": "2026-11-20T10:00:00Z",
}


def comment(id_: str = COMMENT, **change: Any) -> Response:
    left = {name: value for name, value in {**SAID, **change}.items() if value is not None}
    return rows({"kind": "youtube#comment", "id": id_, "snippet": left})


THREAD = rows({"id": COMMENT, "snippet": {"channelId": BRAND, "videoId": VIDEO}})
ANYWHERE = replace(GIVEN, settings={**SETTINGS, "video_id": ""})


@pytest.mark.parametrize(
    ("ask", "answers", "result", "obstacle"),
    [
        pytest.param(GIVEN, [comment()], "verified", "", id="theirs, under the video"),
        pytest.param(GIVEN, [comment(videoId=None), THREAD], "verified", "", id="the thread says under which video"),
        pytest.param(ANYWHERE, [comment(videoId="another-one")], "verified", "", id="under any video of the brand's"),
        pytest.param(ANYWHERE, [comment(channelId="UCother")], "unknown", "given", id="under somebody else's video"),
        pytest.param(GIVEN, [comment(videoId="another-one")], "unknown", "given", id="under another video"),
        pytest.param(GIVEN, [comment(authorChannelId={"value": "UCbob"})], "unknown", "given", id="somebody else's"),
        pytest.param(GIVEN, [comment(authorChannelId=None)], "unknown", "", id="nobody's"),
        pytest.param(GIVEN, [comment(authorChannelId={"value": [ANN]})], "unknown", "", id="an author in another form"),
        pytest.param(GIVEN, [comment("UgxOther_comment")], "unknown", "", id="about another comment"),
        pytest.param(GIVEN, [comment(videoId=None), rows()], "unknown", "", id="no thread"),
        pytest.param(GIVEN, [comment(videoId=None), Response(500)], "unknown", "busy", id="the thread cannot be read"),
        pytest.param(GIVEN, [rows()], "not_found", "", id="deleted"),
        pytest.param(GIVEN, [no(404, "commentNotFound")], "not_found", "", id="404: there is no such comment"),
        pytest.param(GIVEN, [Response(404, b"<html>")], "unknown", "", id="404 and a page"),
        pytest.param(GIVEN, [no(400, "badRequest")], "unknown", "brand", id="400: the API key is none"),
        pytest.param(GIVEN, [no(403, "accessNotConfigured")], "unknown", "brand", id="403: the API is switched off"),
        pytest.param(GIVEN, [no(403, "quotaExceeded")], "unknown", "busy", id="403: the day's quota is used up"),
        pytest.param(GIVEN, [no(403, "insufficientPermissions")], "unknown", "brand", id="403: the key may not"),
        pytest.param(GIVEN, [Response(403)], "unknown", "brand", id="403 and nothing"),
        pytest.param(GIVEN, [Response(429)], "unknown", "busy", id="429"),
        pytest.param(GIVEN, [Response(200, b"<html>")], "unknown", "", id="200 and a page"),
        pytest.param(GIVEN, [rows({})], "unknown", "", id="a row with nothing in it"),
    ],
)
def test_a_comment(ask: Ask, answers: list[Response], result: str, obstacle: str) -> None:
    found, requests = asked("comment", ask, *answers)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert requests[0].params == {"part": "snippet", "id": COMMENT, "textFormat": "plainText"}
    for request in requests:
        assert request.headers == {"X-Goog-Api-Key": "k"}  # in no address, and nothing of the customer's


@pytest.mark.parametrize(
    "link",
    [
        f"https://www.youtube.com/watch?v={VIDEO}&lc={COMMENT}",
        f"  https://youtu.be/{VIDEO}?lc={COMMENT}&si=x\n",
        f"https://m.youtube.com/watch?lc={COMMENT}&v={VIDEO}",
    ],
)
def test_a_link_to_a_comment(link: str) -> None:
    assert asked("comment", replace(GIVEN, given=link), comment())[0].result == "verified"


@pytest.mark.parametrize(
    "link",
    [
        "",
        COMMENT,
        f"https://www.youtube.com/watch?v={VIDEO}",
        f"https://evil.example/watch?lc={COMMENT}",
        f"https://notyoutube.com/watch?lc={COMMENT}",
        f"https://www.youtube.com/watch?lc={COMMENT}&lc=Ugxother_one",
        "https://www.youtube.com/watch?lc=../../secret",
        "https://www.youtube.com/watch?lc=a,b,c,d,e,f,g,h",
        "https://[::1/watch?lc=x",
        "https://www.youtube.com/watch?lc=%ff%fe%ff%fe%ff%fe",
        "https://www.youtube.com/watch?lc=\ud800" + COMMENT,
        "x" * 100_000,
    ],
)
def test_a_link_to_anything_else_is_asked_for_again(link: str) -> None:
    found, _ = asked("comment", replace(GIVEN, given=link))
    assert (found.result, found.obstacle) == ("unknown", "given")


def test_a_reply_is_looked_up_in_the_thread_it_belongs_to() -> None:
    reply = f"{COMMENT}.9abcDEF"
    ask = replace(GIVEN, given=f"https://www.youtube.com/watch?v={VIDEO}&lc={reply}")
    found, requests = asked("comment", ask, comment(reply, videoId=None, channelId=None), THREAD)
    assert requests[1].params == {"part": "snippet", "id": COMMENT}
    assert found.evidence is not None
    assert found.evidence.facts["reply"] is True


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "ask", "response", "expected"),
    [
        (
            "subscribe",
            ASK,
            rows(subscription()),
            Evidence(action="subscribe", key=f"{BRAND}:{ANN}", account=ANN, subject=BRAND, occurred_at=AT,
                     facts={"handle": "@ann"}),
        ),
        (
            "like",
            ASK,
            rows({"videoId": VIDEO, "rating": "like"}),
            Evidence(action="like", key=f"{VIDEO}:{ANN}", account=ANN, subject=VIDEO, facts={"handle": "@ann"}),
        ),
        (
            "comment",
            GIVEN,
            comment(),
            Evidence(action="comment", key=f"{VIDEO}:{ANN}", account=ANN, subject=VIDEO, occurred_at=AT,
                     facts={"handle": "@ann", "text": "Lovely!", "reply": False}),
        ),
    ],
)  # fmt: skip
def test_the_form_of_the_keys_has_paid_and_never_changes(
    action: str, ask: Ask, response: Response, expected: Evidence
) -> None:
    assert asked(action, ask, response)[0].evidence == expected


def test_two_comments_under_one_video_are_one_fact() -> None:
    first, _ = asked("comment", GIVEN, comment())
    other = replace(GIVEN, given=LINK.replace(COMMENT, "UgxAnother_comment"))
    second, _ = asked("comment", other, comment("UgxAnother_comment"))
    assert first.evidence is not None
    assert second.evidence is not None
    assert first.evidence.key == second.evidence.key


def test_a_time_that_cannot_be_read_undoes_nothing() -> None:
    found, _ = asked("subscribe", ASK, rows(subscription(at="yesterday")))
    assert found.evidence is not None
    assert found.evidence.occurred_at is None


def test_a_long_comment_is_cut() -> None:
    found, _ = asked("comment", GIVEN, comment(textDisplay="x" * 10_000))
    assert found.evidence is not None
    assert len(found.evidence.facts["text"]) == 500


def test_asked_again_it_is_about_the_same_channel_and_video() -> None:
    assert asked("subscribe", replace(ASK, subject="UC7"), rows())[1][0].params["forChannelId"] == "UC7"
    assert asked("like", replace(ASK, subject="v7"), rows())[1][0].params["id"] == "v7"
    assert asked("comment", replace(GIVEN, subject="v7"), comment())[0].obstacle == "given"


@pytest.mark.parametrize("action", ["subscribe", "like"])
def test_what_is_missing_is_said_without_asking(action: str) -> None:
    assert asked(action, replace(ASK, settings={"client_id": "client"}))[0].obstacle == "brand"
    assert asked(action, replace(ASK, tokens=None))[0].obstacle == "reconnect"
    assert asked("comment", replace(GIVEN, settings={"api_key": "k"}))[0].obstacle == "brand"


def test_where_it_is_done() -> None:
    pages = {name: check.page for name, check in source.checks.items() if check.page}
    assert {name: page(SETTINGS, ACCOUNT) for name, page in pages.items()} == {
        "subscribe": f"https://www.youtube.com/channel/{BRAND}?sub_confirmation=1",
        "like": f"https://www.youtube.com/watch?v={VIDEO}",
        "comment": f"https://www.youtube.com/watch?v={VIDEO}",
    }
    assert pages["comment"]({"channel_id": BRAND}, None) == f"https://www.youtube.com/channel/{BRAND}/videos"
    assert [page({}, None) for page in pages.values()] == ["", "", ""]


def test_all_of_it_is_off_until_the_merchant_insists() -> None:
    assert all(action.policy and action.policy.forbidden for action in source.actions.values())


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("channel_id", BRAND, ["@brand", "brand", BRAND + "x"]), ("video_id", VIDEO, [LINK, "short", VIDEO + "x"])],
)
def test_a_name_in_place_of_an_id_is_a_fault(name: str, right: str, wrong: list[str]) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert not setting.fault(right)
    assert all(setting.fault(one) for one in wrong)
