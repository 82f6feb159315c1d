"""GamifyHost's stand-in answers as GamifyHost's documentation says."""

import httpx2
import pytest

from bridge.sandbox.gamifyhost import gamifyhost
from bridge.sandbox.promotions import LETTERS, Campaign, Partner, Prize

KEY = "sk_test_0123456789abcdef"
PROMO, DRAW, ONCE = "summer-promo", "lucky-draw", "once-only"
BODY = {"userId": "ann", "eventType": "purchase"}

#: The fields of an answer to an event, as their page lists them: type, and whether it is always there.
#: https://docs.gamifyhost.com/campaigns/record-event/, Response Fields
EVENT = {"pointsEarned": (int, True), "totalPoints": (int, True), "instantWin": (dict, False), "message": (str, True)}
WIN = {"won": (bool, True), "prizeTier": (str, False), "winCode": (str, False)}
#: https://docs.gamifyhost.com/campaigns/participant-progress/
PARTICIPANT = {"userId": (str, True), "displayName": (str, True), "totalPoints": (int, True)} | {
    "eventsCount": (int, True),
    "rank": (int, True),
    "joinedAt": (str, True),
}
#: https://docs.gamifyhost.com/reference/award-points/
AWARD = {"ledgerId": (str, True), "userId": (str, True), "eventType": (str, True), "pointsAwarded": (int, True)} | {
    "userBalance": (int, True),
    "reference": (str, False),
    "createdAt": (str, True),
}
#: https://docs.gamifyhost.com/reference/get-user-history
ENTRY = {"id": (str, True), "eventType": (str, True), "points": (int, True), "createdAt": (str, True)}


def has(found, fields):
    return all(type(found[name]) is kind if name in found else not always for name, (kind, always) in fields.items())


@pytest.fixture
def partner() -> Partner:
    return Partner(
        [
            Campaign(slug=PROMO, points={"purchase": 100}),
            Campaign(slug=DRAW, points={"purchase": 10}, prizes=[Prize("Gold", 500), Prize("Silver")], odds=0.5),
            Campaign(slug=ONCE, points={"purchase": 1}, most=1),
            Campaign(slug="at-rest", active=False),
        ],
        rules={"signup": 500, "purchase": 100},
        seed=7,
    )


@pytest.fixture
async def ask(partner, clock):
    app = gamifyhost(partner, api_secret=KEY, clock=clock)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://gamifyhost.test", headers={"X-API-Secret": KEY}
    ) as made:
        yield made


async def record(ask, slug=PROMO, **changes):
    return await ask.post(f"/v1/campaigns/{slug}/events", json={**BODY, **changes})


async def award(ask, **changes):
    return await ask.post("/v1/points/award", json={**BODY, "eventType": "signup", "reference": "fwd_1", **changes})


async def test_an_event_earns_points_and_is_counted(ask):
    answer = await record(ask, metadata={"amount": 49.99})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "data": {"pointsEarned": 100, "totalPoints": 100, "message": "Event recorded successfully"},
    }
    assert (await record(ask)).json()["data"]["totalPoints"] == 200
    found = (await ask.get(f"/v1/campaigns/{PROMO}/participants/ann")).json()["data"]
    assert has(found, PARTICIPANT)
    assert (found["totalPoints"], found["eventsCount"], found["rank"]) == (200, 2, 1)


async def test_an_event_of_another_type_is_counted_and_earns_nothing(ask):
    assert (await record(ask, eventType="daily_login")).json()["data"]["pointsEarned"] == 0
    assert (await ask.get(f"/v1/campaigns/{PROMO}/participants/ann")).json()["data"]["eventsCount"] == 1


async def test_every_repeat_of_an_event_is_another_play_and_another_draw(ask, partner):
    for _ in range(3):
        await record(ask, DRAW, metadata={"bridge_ref": "fwd_1"})
    state = (await ask.get("/sandbox/state")).json()
    assert state["users"]["ann"]["campaigns"][DRAW]["events"] == 3
    assert state["users"]["ann"]["draws"] == 3
    assert [one["key"] for one in state["events"]] == ["fwd_1"] * 3


async def test_draws_follow_the_odds_and_the_seed(clock):
    def draws(seed, odds):
        campaign = Campaign(slug=DRAW, prizes=[Prize("Gold", 500)], odds=odds)
        made = Partner([campaign], seed=seed)
        return [made.record(campaign, "ann", "spin", clock()).code for _ in range(200)]

    assert draws(1, 0.25) == draws(1, 0.25) != draws(2, 0.25)
    assert 30 < sum(map(bool, draws(1, 0.25))) < 70
    assert not any(draws(1, 0.0))
    codes = draws(1, 1.0)
    assert len(set(codes)) == 200
    assert all(code[:5] == "LUCK-" and len(code) == 13 and set(code[5:]) <= set(LETTERS) for code in codes)


async def test_a_draw_tells_the_prize_and_its_code_or_that_there_is_none(ask, partner):
    answers = [(await record(ask, DRAW)).json()["data"] for _ in range(20)]
    wins = [one["instantWin"] for one in answers]
    assert all(has(one, EVENT) for one in answers)
    assert all(has(one, WIN) for one in wins)
    assert {one["won"] for one in wins} == {True, False}
    assert not [one for one in wins if not one["won"] and ("winCode" in one or "prizeTier" in one)]
    state = (await ask.get("/sandbox/state")).json()["users"]["ann"]
    assert state["codes"] == [one["winCode"] for one in wins if one["won"]]
    earned = sum(one["pointsEarned"] + one["instantWin"].get("pointsEarned", 0) for one in answers)
    assert state["campaigns"][DRAW]["points"] == earned == answers[-1]["totalPoints"]


async def test_more_plays_than_the_campaign_allows_are_refused_and_not_counted(ask, partner):
    assert (await record(ask, ONCE)).status_code == 200
    again = await record(ask, ONCE)
    assert (again.status_code, again.json()["message"]) == (409, "User has exceeded maximum plays")
    assert partner.played(ONCE, "ann") == 1
    assert (await record(ask, ONCE, userId="ben")).status_code == 200


async def test_a_campaign_that_is_at_rest_or_unknown_takes_no_events(ask, partner):
    for slug in ("at-rest", "winter-promo"):
        answer = await record(ask, slug)
        assert (answer.status_code, answer.json()["message"]) == (404, "Campaign not found or not active")
    partner.switch("at-rest", active=True)
    assert (await record(ask, "at-rest")).status_code == 200


async def test_what_is_not_known_of_campaigns_is_404(ask):
    for path in (f"{PROMO}/participants/ann", "winter-promo/participants/ann"):
        answer = await ask.get(f"/v1/campaigns/{path}")
        assert (answer.status_code, answer.json()["message"]) == (404, "Campaign or participant not found")
    assert (await ask.get("/v1/campaigns/winter-promo/leaderboard")).status_code == 404


async def test_the_leaderboard_ranks_by_points_and_is_cut(ask):
    for user, times in (("ann", 1), ("ben", 3), ("cid", 2)):
        for _ in range(times):
            await record(ask, userId=user)
    board = (await ask.get(f"/v1/campaigns/{PROMO}/leaderboard?limit=2")).json()["data"]
    assert [(one["rank"], one["userId"], one["eventsCount"]) for one in board["entries"]] == [
        (1, "ben", 3),
        (2, "cid", 2),
    ]
    assert board["totalParticipants"] == 3
    assert (await ask.get(f"/v1/campaigns/{PROMO}/leaderboard?limit=101")).status_code == 400


async def test_an_award_makes_the_user_and_is_in_the_ledger(ask):
    answer = await award(ask, metadata={"source": "twitch"})
    said = answer.json()
    assert (answer.status_code, said["code"], said["status"]) == (201, 201, "success")
    assert has(said["data"], AWARD)
    assert (said["data"]["pointsAwarded"], said["data"]["userBalance"]) == (500, 500)
    rows = (await ask.get("/v1/users/ann/history")).json()
    assert has(rows["data"][0], ENTRY)
    assert rows["data"][0]["id"] == said["data"]["ledgerId"]
    assert rows["meta"] == {"page": 1, "limit": 20, "total": 1, "totalPages": 1}
    assert (await ask.get("/v1/users/ann/balance")).json()["data"]["totalPoints"] == 500


async def test_a_reference_counts_once_for_an_event_type(ask, partner):
    assert (await award(ask)).status_code == 201
    again = await award(ask, userId="ben")
    assert (again.status_code, again.json()["message"]) == (409, "Duplicate reference")
    assert (await award(ask, eventType="purchase")).status_code == 201
    assert partner.balance("ann") == 600
    assert partner.balance("ben") == 0


async def test_without_a_reference_every_award_counts(ask, partner):
    for _ in range(2):
        assert (await award(ask, reference=None)).status_code == 201
    assert partner.balance("ann") == 1000


async def test_an_event_type_without_a_rule_is_404(ask):
    answer = await award(ask, eventType="nothing")
    assert (answer.status_code, answer.json()["message"]) == (404, "No reward rule found for event type")


async def test_the_history_comes_in_pages(ask):
    for number in range(45):
        await award(ask, reference=f"fwd_{number}")
    third = (await ask.get("/v1/users/ann/history?page=3")).json()
    assert [one["reference"] for one in third["data"]] == [f"fwd_{number}" for number in range(40, 45)]
    assert third["meta"] == {"page": 3, "limit": 20, "total": 45, "totalPages": 3}
    assert (await ask.get("/v1/users/ann/history?page=9")).json()["data"] == []
    for query in ("limit=0", "limit=101", "page=x", "page=-1"):
        assert (await ask.get(f"/v1/users/ann/history?{query}")).status_code == 400


@pytest.mark.parametrize("path", ["history", "balance"])
async def test_a_user_who_was_never_awarded_is_unknown(ask, path):
    await record(ask)
    answer = await ask.get(f"/v1/users/ann/{path}")
    assert (answer.status_code, answer.json()["message"]) == (404, "User not found")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"eventType": "purchase"}, id="no user"),
        pytest.param({"userId": "ann"}, id="no event type"),
        pytest.param({"userId": "", "eventType": "purchase"}, id="an empty user"),
        pytest.param({"userId": 7, "eventType": "purchase"}, id="a number for a user"),
        pytest.param({**BODY, "metadata": "a=1"}, id="metadata that is a text"),
        pytest.param([], id="not an object"),
    ],
)
async def test_a_body_of_another_shape_is_400(ask, body):
    for path in ("/v1/points/award", f"/v1/campaigns/{PROMO}/events"):
        answer = await ask.post(path, json=body)
        assert (answer.status_code, answer.json()["message"]) == (400, "Invalid request body")
        assert (await ask.post(path, content=b"{", headers={"content-type": "application/json"})).status_code == 400
        assert (await ask.post(path, content=b"userId=ann")).status_code == 400


@pytest.mark.parametrize(
    ("key", "standing", "status", "message"),
    [
        pytest.param(None, "good", 401, "Missing X-API-Secret header", id="no key"),
        pytest.param("sk_live_0123456789abcdef", "good", 401, "Invalid API key", id="the other environment's"),
        pytest.param(KEY, "revoked", 403, "API key has been revoked", id="revoked"),
        pytest.param(KEY, "not active", 403, "Application is not active", id="an application at rest"),
        pytest.param(KEY, "no partner", 403, "Partner account not found", id="no partner"),
    ],
)
async def test_keys_are_refused_in_the_documented_words(ask, partner, key, standing, status, message):
    partner.standing = standing
    ask.headers.pop("X-API-Secret")
    headers = {"X-API-Secret": key} if key else {}
    calls = [ask.post("/v1/points/award", json=BODY, headers=headers)]
    calls += [ask.post(f"/v1/campaigns/{PROMO}/events", json=BODY, headers=headers)]
    paths = ("users/ann/history", "users/ann/balance", f"campaigns/{PROMO}/leaderboard")
    calls += [ask.get(f"/v1/{path}", headers=headers) for path in (*paths, f"campaigns/{PROMO}/participants/ann")]
    for call in calls:
        answer = await call
        assert (answer.status_code, answer.json()) == (status, {"message": message, "code": status, "status": "error"})
    assert not partner.plays
    assert not partner.entries


async def test_the_journal_hides_the_key_and_faults_have_the_vendors_shape(ask, partner):
    await record(ask)
    row = (await ask.get("/sandbox/journal")).json()["requests"][0]
    assert row["headers"]["x-api-secret"] == "redacted"
    assert row["body"] == BODY
    await ask.post("/sandbox/faults", json={"kind": "revoked"})
    assert (await record(ask)).json() == {"message": "Invalid API key", "code": 401, "status": "error"}
    await ask.post("/sandbox/faults", json={"kind": "500_after"})
    assert (await record(ask)).json()["status"] == "error"
    assert partner.played(PROMO, "ann") == 2
