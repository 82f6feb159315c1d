"""Popsell's stand-in answers as Popsell's documentation says, and the provider is never fooled by it."""

import re
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from bridge.kit import Customer, Forward, Outcome, Unavailable, Verdict
from bridge.sandbox.community import Challenge, Community
from bridge.sandbox.popsell import popsell
from bridge.sandbox.serving import serving
from bridge.talk import Failed, Talker, Transport
from providers.loyalty.popsell import target

KEY, DOMAIN = "pop_test_key", "rewards.example.com"
PAY = "/api/v2/manager/ambassadors/7/challenge-histories"
LIST = "/api/v2/manager/ambassadors"


@pytest.fixture
def community() -> Community:
    made = Community([Challenge(id=42), Challenge(id=43, active=False)])
    made.join(7, email="ann@example.com", customer_id="C-7", gamification_score=10, sell_token_amount=5)
    made.join(8, email="joann@example.com", customer_id="C-8", firstname="Joann")
    return made


@pytest.fixture
def api(community, clock):
    return popsell(community, api_key=KEY, domain=DOMAIN, clock=clock)


@pytest.fixture
async def ask(api):
    transport = httpx2.ASGITransport(app=api)
    headers = {"accept": "application/json"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://popsell.test", headers=headers) as made:
        made.headers["authorization"] = f"Bearer {(await signed_in(made)).json()['token']}"
        yield made


async def signed_in(ask, api_key=KEY, domain=DOMAIN):
    body = {"api_key": api_key} if api_key is not None else {}
    return await ask.post("/api/v2/auth/token", json=body, headers={"x-popsell-domain": domain})


# --- as documented --------------------------------------------------------------------------------------------------


async def test_a_history_is_answered_as_their_page_shows_and_moves_score_and_points(ask, community):
    body = {"points": 50, "score": 40, "message": "Thank you", "challenge_id": 42}
    answer = await ask.post(PAY, json=body)
    said = answer.json()
    assert answer.status_code == 200
    assert said.keys() == {
        *("id", "ambassador", "challenge", "message", "score", "points", "created_at", "updated_at"),
    }
    assert (said["points"], said["score"], said["message"]) == (50, 40, "Thank you")
    assert said["ambassador"]["id_ambassador"] == 7
    assert (said["challenge"]["id"], said["challenge"]["nb_wins"]) == (42, 1)
    assert said["created_at"] == "2026-11-20T12:00:00Z"
    ann = community.ambassadors[7]
    assert (ann.gamification_score, ann.sell_token_amount) == (50, 55)


async def test_the_same_again_pays_again(ask, community):
    first, second = [(await ask.post(PAY, json={"points": 50.0, "score": 40})).json() for _ in range(2)]
    assert first["id"] != second["id"]
    assert (first["challenge"], first["message"]) == (None, None)
    assert community.known()["ambassadors"]["7"]["got"] == {"times": 2, "points": 100, "score": 80}


@pytest.mark.parametrize(
    ("body", "message", "fields"),
    [
        pytest.param({}, "The points field is required. (and 1 more error)", ["points", "score"], id="nothing"),
        pytest.param([], "The points field is required. (and 1 more error)", ["points", "score"], id="no object"),
        pytest.param({"points": 1}, "The score field is required.", ["score"], id="no score"),
        pytest.param({"points": "x", "score": 1}, "The points field must be a number.", ["points"], id="a text"),
        pytest.param({"points": True, "score": 1}, "The points field must be a number.", ["points"], id="a boolean"),
        pytest.param(
            {"points": 1, "score": 1, "message": 5}, "The message field must be a string.", ["message"], id="5"
        ),
        pytest.param(
            {"points": 1, "score": 1, "challenge_id": 99},
            "The selected challenge id is invalid.",
            ["challenge_id"],
            id="an unknown challenge",
        ),
        pytest.param(
            {"challenge_id": 99, "message": []},
            "The points field is required. (and 3 more errors)",
            ["challenge_id", "message", "points", "score"],
            id="everything at once",
        ),
    ],
)
async def test_what_fails_validation_pays_nothing(ask, community, body, message, fields):
    answer = await ask.post(PAY, json=body)
    said = answer.json()
    assert (answer.status_code, said["message"], sorted(said["errors"])) == (422, message, fields)
    assert not community.histories


async def test_an_unknown_ambassador_and_an_unknown_path_are_both_404_in_json(ask):
    nobody = await ask.post(PAY.replace("7", "99"), json={"points": 1, "score": 1})
    assert (nobody.status_code, nobody.json()["message"]) == (
        404,
        "No query results for model [App\\Models\\Ambassador] 99",
    )
    nowhere = await ask.post("/api/v2/manager/nothing", json={})
    assert nowhere.json() == {"message": "The route api/v2/manager/nothing could not be found."}
    page = await ask.get("/api/v1/x", headers={"accept": "text/html"})
    assert (page.status_code, page.text[:15]) == (404, "<!doctype html>")
    assert (await ask.get(PAY)).status_code == 405


@pytest.mark.parametrize(
    ("api_key", "domain", "status", "message"),
    [
        pytest.param(KEY, DOMAIN, 200, None, id="right"),
        pytest.param("x", DOMAIN, 401, "Invalid email or password", id="a wrong key"),
        pytest.param(KEY, "x", 401, "Unauthorized.", id="a wrong domain"),
        pytest.param("", DOMAIN, 422, "The api key field is required.", id="an empty key"),
        pytest.param(None, DOMAIN, 422, "The api key field is required.", id="no key"),
    ],
)
async def test_a_token_is_for_the_right_key_of_the_right_domain(ask, api_key, domain, status, message):
    answer = await signed_in(ask, api_key, domain)
    assert (answer.status_code, answer.json().get("message")) == (status, message)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic x"])
async def test_without_a_token_there_is_nothing(ask, community, given):
    answer = await ask.post(PAY, json={"points": 1, "score": 1}, headers={"authorization": given})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized."})
    assert not community.histories


async def test_a_token_ends_and_the_key_gets_another(ask, clock):
    clock.go(minutes=59)
    assert (await ask.get(LIST)).status_code == 200
    clock.go(minutes=1)
    assert (await ask.get(LIST)).status_code == 401
    assert (await signed_in(ask)).status_code == 200


async def test_tokens_and_key_can_be_taken_away_from_outside(ask):
    await ask.post("/sandbox/key", json={})
    assert (await ask.get(LIST)).status_code == 401
    token = (await signed_in(ask)).json()["token"]
    ask.headers["authorization"] = f"Bearer {token}"
    assert (await ask.get(LIST)).status_code == 200
    await ask.post("/sandbox/key", json={"revoked": True})
    assert (await ask.get(LIST)).status_code == 401
    assert (await signed_in(ask)).json() == {"message": "Invalid email or password"}


async def test_who_may_not_use_the_manager_is_told_so(ask, api):
    await ask.post("/sandbox/key", json={"manages": False})
    ask.headers["authorization"] = f"Bearer {(await signed_in(ask)).json()['token']}"
    for answer in (await ask.get(LIST), await ask.post(PAY, json={}), await ask.get("/api/v2/manager/challenges/42")):
        assert (answer.status_code, answer.json()["message"]) == (403, "You don't have permission to access this route")
    assert (await ask.get("/api/v2/platform/ambassadors/7")).status_code == 200


async def ids(ask, **query):
    return [row["id_ambassador"] for row in (await ask.get(LIST, params=query)).json()["data"]]


async def test_the_search_is_fuzzy_and_goes_over_names_too(ask, community):
    community.join(9, firstname="ann@example.com", email="x@y.z")
    community.join(10, email_tmp="ann@example.com", email="u@y.z")
    community.join(11, email="annxlee@y.z")
    assert await ids(ask, **{"filter[ambassador_search]": "ANN@example.com"}) == [7, 8, 9, 10]
    assert await ids(ask, **{"filter[ambassador_search]": "ann_lee@y.z"}) == [11]
    assert await ids(ask, **{"filter[ambassador_search]": "C-8"}) == [8]
    assert await ids(ask, **{"filter[ambassador_search]": "Joann Lee"}) == [8]
    assert await ids(ask, **{"filter[ambassador_search]": "a.n@example.com"}) == []


async def test_the_list_can_be_narrowed_and_sorted(ask, community):
    community.join(8, active=-1, gamification_score=99)
    assert await ids(ask, **{"filter[active]": "1"}) == [7]
    assert await ids(ask, **{"filter[active]": "-1,1"}) == [7, 8]
    assert await ids(ask, sort="-gamification_score") == [8, 7]
    assert (await ask.get(LIST, params={"sort": "password"})).status_code == 400


async def test_pages_are_laravels(ask, community):
    for number in range(100, 118):
        community.join(number, email=f"{number}@example.com")
    first = (await ask.get(LIST)).json()
    assert (first["current_page"], first["last_page"], first["per_page"], first["total"]) == (1, 2, 15, 20)
    assert (first["from"], first["to"], first["prev_page_url"]) == (1, 15, None)
    assert first["next_page_url"] == "http://popsell.test/api/v2/manager/ambassadors?page=2"
    last = (await ask.get(LIST, params={"page": 3, "per_page": 8})).json()
    assert (last["from"], last["to"], len(last["data"]), last["next_page_url"]) == (17, 20, 4, None)
    beyond = (await ask.get(LIST, params={"page": 9, "per_page": 8})).json()
    assert (beyond["data"], beyond["from"]) == ([], None)
    odd = (await ask.get(LIST, params={"page": "x", "per_page": "0"})).json()
    assert (odd["current_page"], odd["per_page"]) == (1, 15)


async def test_one_ambassador_and_one_challenge_can_be_looked_at(ask):
    ann = (await ask.get("/api/v2/platform/ambassadors/7")).json()
    assert (ann["id_ambassador"], ann["gamification_score"], ann["active"]) == (7, 10, 1)
    assert "sell_token_amount" not in ann
    assert (await ask.get("/api/v2/platform/ambassadors/99")).status_code == 404
    assert (await ask.get("/api/v2/manager/challenges/43")).json()["active"] is False
    missing = await ask.get("/api/v2/manager/challenges/44")
    assert (missing.status_code, "Challenge] 44" in missing.json()["message"]) == (404, True)


async def test_the_back_door_adds_ambassadors_and_moves_scores_and_tells_whose_doing_it_was(ask):
    await ask.post("/sandbox/ambassadors", json=[{"id": 9, "email": "ben@example.com"}, {"id": 7, "active": -1}])
    await ask.post("/sandbox/moves", json={"id": 7, "score": 3, "points": -2})
    await ask.post(PAY, json={"points": 50, "score": 40, "message": "x"}, headers={"idempotency-key": "fwd_1"})
    state = (await ask.get("/sandbox/state")).json()
    ann = state["ambassadors"]["7"]
    assert (ann["gamification_score"], ann["sell_token_amount"], ann["active"]) == (53, 53, -1)
    assert ann["got"] == {"times": 1, "points": 50, "score": 40}
    assert state["histories"][0]["key"] == "fwd_1"
    assert state["ambassadors"]["9"]["email"] == "ben@example.com"


async def test_the_journal_shows_what_came_and_hides_the_token(ask):
    await ask.post(PAY, json={"points": 1, "score": 1})
    row = (await ask.get("/sandbox/journal")).json()["requests"][-1]
    assert (row["method"], row["path"], row["status"]) == ("POST", PAY, 200)
    assert row["headers"]["authorization"] == "redacted"


# --- the provider against it ----------------------------------------------------------------------------------------

FORWARD = Forward(
    id="fwd_01a1f9f7702b00195ec5a23b",
    rule="twitch-follow",
    send="popsell",
    target="popsell",
    customer=Customer(id="C-7", email="Ann@Example.com"),
    options={"points": 50, "score": 40, "challenge_id": 42},
    source="twitch",
    action="follow",
    subject="1337",
    facts={},
    occurred_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    created_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    known_as="7",
)


class Caller:
    """Holds the provider's talks with the stand-in, with a token that is kept and once renewed."""

    def __init__(self, url, api, talker):
        self.settings = {"base_url": url, "api_key": KEY, "domain": DOMAIN, "find_by": "email"}
        self.api, self.talker, self.token = api, talker, ""

    async def hold(self, talk, *, within=5.0):
        return await self.talker.hold(self._authorized(talk), within=timedelta(seconds=within))

    def _authorized(self, talk) -> Generator:
        answer = None
        while True:
            try:
                request = talk.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = yield from self._asked(request)
            if answer.status == 401 and request.authorized:
                self.token = yield from target.token(self.settings)
                answer = (yield from self._asked(request)) if self.token else answer

    def _asked(self, request):
        if not request.authorized:
            return (yield request)
        self.token = self.token or (yield from target.token(self.settings))
        headers = {**request.headers, "Authorization": f"Bearer {self.token}"}
        return (yield replace(request, headers=headers, authorized=False))

    async def send(self, forward=FORWARD, *, within=5.0):
        """One attempt as the bridge makes it: the baseline, then the call; what a broken call proves is a verdict."""
        baseline = await self.hold(target.baseline(forward, self.settings))
        if isinstance(baseline, Outcome):
            return baseline, ""
        try:
            outcome = await self.hold(target.send(replace(forward, baseline=baseline), self.settings), within=within)
        except Failed as failure:
            outcome = Outcome(Verdict.UNCLEAR if failure.sent else Verdict.LATER, failure.message)
        return outcome, baseline

    async def reconcile(self, baseline, forward=FORWARD):
        return await self.hold(target.reconcile(forward, baseline, self.settings))


@pytest.fixture
async def caller(api, clock):
    async with httpx2.ASGITransport(app=api) as transport:
        made = Caller("http://popsell.test", api, Talker(transport, clock, "Test/1"))
        assert await made.hold(target.find(FORWARD, made.settings)) == "7"  # and it has a token now
        yield made


@pytest.fixture
async def wired(api, clock):
    """The same over real connections, which can break."""
    async with serving(api) as url, Transport(lambda: True) as transport:
        made = Caller(url, api, Talker(transport, clock, "Test/1"))
        assert await made.hold(target.find(FORWARD, made.settings)) == "7"
        yield made


async def test_a_good_day(caller, community):
    outcome, baseline = await caller.send()
    assert (outcome.verdict, outcome.reference) == (Verdict.DONE, "9001")
    assert (baseline, outcome.left) == ('{"score":10,"points":5}', '{"score":50,"points":55}')
    [history] = community.histories
    assert (history.points, history.score, history.challenge) == (50, 40, 42)
    assert history.message == "twitch follow [lb:fwd_01a1f9f7702b00195ec5a23b]"
    assert (await caller.reconcile(baseline)).verdict is Verdict.DONE
    assert (await caller.send())[1] == outcome.left  # the next one begins where this one said it would


FAULTS = [
    pytest.param({"kind": "slow", "seconds": 1}, Verdict.UNCLEAR, 1, id="too slow, and it took effect"),
    pytest.param({"kind": "slow_before", "seconds": 0.05}, Verdict.DONE, 1, id="slow, and in time"),
    pytest.param({"kind": "drop_before"}, Verdict.UNCLEAR, 0, id="hung up before"),
    pytest.param({"kind": "drop_after"}, Verdict.UNCLEAR, 1, id="hung up after"),
    pytest.param({"kind": "cut"}, Verdict.UNCLEAR, 1, id="the answer broke off"),
    pytest.param({"kind": "500_before"}, Verdict.UNCLEAR, 0, id="500 before"),
    pytest.param({"kind": "500_after"}, Verdict.UNCLEAR, 1, id="500 after"),
    pytest.param({"kind": "503"}, Verdict.UNCLEAR, 0, id="503"),
    pytest.param({"kind": "429", "retry_after": 7}, Verdict.LATER, 0, id="429"),
    pytest.param({"kind": "html"}, Verdict.UNCLEAR, 0, id="somebody else's page"),
    pytest.param({"kind": "redirect"}, Verdict.MISCONFIGURED, 0, id="a redirect"),
    pytest.param({"kind": "wrong_json"}, Verdict.UNCLEAR, 1, id="JSON of no known shape"),
    pytest.param({"kind": "says", "status": 404, "body": {"message": ""}}, Verdict.REFUSED, 0, id="404"),
    pytest.param({"kind": "says", "status": 422, "body": {"message": "no"}}, Verdict.REFUSED, 0, id="422"),
    pytest.param({"kind": "says", "status": 200, "body": {"message": "ok"}}, Verdict.UNCLEAR, 0, id="200, and nothing"),
]


@pytest.mark.parametrize(("fault", "verdict", "times"), FAULTS)
async def test_a_bad_day_is_seen_for_what_it_was(wired, community, fault, verdict, times):
    wired.api.faults.arm(**{**fault, "on": "writes"})
    outcome, baseline = await wired.send(within=0.5 if fault["kind"] == "slow" else 5)
    assert outcome.verdict is verdict
    assert len(community.histories) == times
    if fault["kind"] == "429":
        assert outcome.retry_after == timedelta(seconds=7)
    # Whatever the call said, what is read afterwards says what happened.
    read = await wired.reconcile(baseline)
    assert read.verdict is (Verdict.DONE if times else Verdict.LATER)
    assert community.known()["ambassadors"]["7"]["got"]["score"] == 40 * times


@pytest.mark.parametrize("kind", ["drop_before", "500_before", "503", "html", "wrong_json", "cut", "drop_after"])
async def test_nothing_is_sent_while_the_ambassador_cannot_be_read(wired, community, kind):
    wired.api.faults.arm(kind, on="reads")
    with pytest.raises(Unavailable):
        await wired.send()
    assert not community.histories
    assert (await wired.send())[0].verdict is Verdict.DONE


@pytest.mark.parametrize(
    ("kind", "verdict"), [("redirect", Verdict.MISCONFIGURED), ("429", Verdict.LATER), ("slow", Verdict.DONE)]
)
async def test_a_read_that_is_answered_otherwise_ends_the_attempt_before_anything_has_left(
    caller, community, kind, verdict
):
    caller.api.faults.arm(kind, on="reads")
    outcome, _ = await caller.send()
    assert outcome.verdict is verdict
    assert len(community.histories) == (verdict is Verdict.DONE)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_before", "503", "429", "html", "wrong_json", "cut"])
async def test_doubt_stays_doubt_while_the_score_cannot_be_read(wired, community, kind):
    wired.api.faults.arm("drop_after", on="writes")
    _, baseline = await wired.send()
    wired.api.faults.arm(kind, on="reads")
    with pytest.raises(Unavailable):
        await wired.reconcile(baseline)
    assert (await wired.reconcile(baseline)).verdict is Verdict.DONE
    assert len(community.histories) == 1


async def test_a_token_that_ended_is_renewed_and_the_call_pays_once(caller, community, clock):
    clock.go(hours=2)
    assert (await caller.send())[0].verdict is Verdict.DONE
    caller.api.faults.arm("revoked", on="writes")
    baseline = await caller.hold(target.baseline(FORWARD, caller.settings))
    assert (await caller.hold(target.send(FORWARD, caller.settings))).verdict is Verdict.DONE
    assert len(community.histories) == 2
    assert baseline


async def test_a_revoked_key_stops_everything_and_pays_nothing(caller, ask, community):
    await ask.post("/sandbox/key", json={"revoked": True})
    for talk in (target.baseline, target.send):
        outcome = await caller.hold(talk(FORWARD, caller.settings))
        assert outcome.verdict is Verdict.MISCONFIGURED
    assert not community.histories
    refused = await caller.hold(target.token(caller.settings))
    assert isinstance(refused, Outcome)
    assert "api_key is wrong" in refused.note


async def test_somebody_elses_points_make_it_a_persons_to_decide(caller, community):
    caller.api.faults.arm("500_after", on="writes")
    _, baseline = await caller.send()
    community.move(7, score=3)
    read = await caller.reconcile(baseline)
    assert read.verdict is Verdict.UNCLEAR
    assert "was 10, is 53, and this call adds 40" in read.note


async def test_the_one_thing_it_cannot_see_is_said_of_every_match(caller, community):
    caller.api.faults.arm("500_before", on="writes")
    _, baseline = await caller.send()
    community.move(7, score=40)  # not ours
    read = await caller.reconcile(baseline)
    assert read.verdict is Verdict.DONE
    assert read.note.startswith("inferred")
    assert not community.histories


async def test_a_reward_that_is_bought_meanwhile_hides_nothing(caller, community):
    caller.api.faults.arm("500_after", on="writes")
    _, baseline = await caller.send()
    community.move(7, points=-30)
    assert (await caller.reconcile(baseline)).verdict is Verdict.DONE


async def test_without_score_in_the_call_nobody_can_tell(caller, community):
    caller.api.faults.arm("500_after", on="writes")
    forward = replace(FORWARD, options={"points": 50, "score": 0})
    outcome, baseline = await caller.send(forward)
    assert outcome.verdict is Verdict.UNCLEAR
    assert (await caller.reconcile(baseline, forward)).verdict is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        pytest.param({"active": -1}, False, id="blocked"),
        pytest.param({"suspicious_quarantine": True}, False, id="in quarantine"),
        pytest.param({"anonymized": True}, False, id="anonymized"),
        pytest.param({"email": "else@example.com"}, True, id="called otherwise now"),
    ],
)
async def test_who_changed_since_they_were_found_gets_nothing(caller, community, fields, missing):
    community.join(7, **fields)
    outcome, _ = await caller.send()
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, missing)
    assert not community.histories


async def test_whoever_poses_by_name_is_not_found(caller, community):
    community.join(7, email="moved@example.com")
    community.join(9, firstname="ann@example.com", email="evil@example.com", email_tmp="ann@example.com")
    outcome = await caller.hold(target.find(FORWARD, caller.settings))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, True)


async def test_among_hundreds_who_fit_the_one_is_found(caller, community):
    for number in range(100, 330):
        community.join(number, email=f"{number}.ann@example.com")
    community.join(400, email="ann@example.com")
    community.join(7, email="other@example.com")
    assert await caller.hold(target.find(FORWARD, caller.settings)) == "400"
    pages = [one["query"] for one in caller.api.journal if one["path"] == LIST]
    assert [re.findall(r"(?<!per_)page=(\d+)", query) for query in pages[-5:]] == [["1"], ["2"], ["3"], ["4"], ["5"]]


@pytest.mark.parametrize(
    ("by", "customer"),
    [
        ("email", Customer(email="ann@example.com")),
        ("customer_id", Customer(id="C-7")),
        ("ambassador_id", Customer(id="7")),
    ],
)
async def test_however_they_are_found_doubt_is_settled(caller, community, by, customer):
    caller.settings["find_by"] = by
    forward = replace(FORWARD, customer=customer)
    assert await caller.hold(target.find(forward, caller.settings)) == "7"
    caller.api.faults.arm("500_after", on="writes")
    outcome, baseline = await caller.send(forward)
    assert outcome.verdict is Verdict.UNCLEAR
    assert (await caller.reconcile(baseline, forward)).verdict is Verdict.DONE


@pytest.mark.parametrize(
    ("settings", "options", "faults"),
    [
        pytest.param({}, [{"challenge_id": 42}], [], id="all is well"),
        pytest.param({"api_key": "x"}, [], ["api_key is wrong"], id="a wrong key"),
        pytest.param({"domain": "x.test"}, [], ["the domain x.test is wrong"], id="a wrong domain"),
        pytest.param({}, [{"challenge_id": 44}], ["no such challenge"], id="no such challenge"),
        pytest.param({}, [{"challenge_id": 43}], ["not active"], id="a challenge at rest"),
    ],
)
async def test_check_live_tells_what_is_wrong(caller, settings, options, faults):
    told = await caller.hold(target.probe(options, {**caller.settings, **settings}))
    assert len(told) == len(faults)
    assert all(part in fault for part, fault in zip(faults, told, strict=True))


async def test_check_live_tells_a_key_that_may_not_use_the_manager(caller, ask):
    await ask.post("/sandbox/key", json={"manages": False})
    [fault] = await caller.hold(target.probe([], caller.settings))
    assert "no permission" in fault


async def test_a_wrong_challenge_is_named_and_stops_nobody_else(caller, community):
    outcome, _ = await caller.send(replace(FORWARD, options={"points": 1, "score": 1, "challenge_id": 99}))
    assert outcome.verdict is Verdict.REFUSED
    assert "challenge_id 99" in outcome.note
    assert not community.histories


async def test_an_ambassador_who_is_gone_is_missing(caller, community):
    del community.ambassadors[7]
    outcome = await caller.hold(target.send(FORWARD, caller.settings))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, True)


async def test_another_address_on_the_same_host_is_a_wrong_one(caller, community):
    caller.settings["base_url"] += "/elsewhere"
    outcome = await caller.hold(target.send(FORWARD, caller.settings))
    assert outcome.verdict is Verdict.MISCONFIGURED
    assert "base_url is wrong" in outcome.note
