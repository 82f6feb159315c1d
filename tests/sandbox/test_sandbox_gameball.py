"""Gameball's stand-in answers as Gameball's documentation says."""

import asyncio
from datetime import timedelta

import httpx2
import pytest

from bridge.sandbox.gameball import gameball
from bridge.sandbox.gate import UNLIMITED
from bridge.sandbox.program import Campaign, Program

KEYS = {"apikey": "gb_test_key", "secretkey": "secret"}
ONCE, AGAIN, QUIET, SPIN = 11664, 11702, 11703, 11704
SOCIAL = "/api/v4.1/integrations/customers/social-challenges"


@pytest.fixture
def program() -> Program:
    made = Program(
        [
            Campaign(id=ONCE, name="Follow us", points=50),
            Campaign(id=AGAIN, name="Big order", points=100, repeatable=True, most=2),
            Campaign(id=QUIET, name="A badge and no points"),
            Campaign(id=SPIN, name="Wheel", points=5, type="Spin The Wheel"),
        ],
        delay=timedelta(minutes=3),
    )
    made.join("ann", email="ann@example.com")
    return made


@pytest.fixture
def api(program, clock):
    return gameball(program, api_key=KEYS["apikey"], secret_key=KEYS["secretkey"], clock=clock)


@pytest.fixture
async def ask(api):
    transport = httpx2.ASGITransport(app=api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gameball.test", headers=KEYS) as made:
        yield made


async def achieve(ask, campaign=ONCE, customer="ann", **headers):
    return await ask.post(SOCIAL, json={"customerId": customer, "challengeId": campaign}, headers=headers)


async def test_a_call_is_accepted_at_once_and_rewarded_later(ask, program, clock):
    answer = await achieve(ask)
    assert (answer.status_code, answer.json()) == (202, {"customerId": "ann", "challengeId": ONCE})
    before = (await ask.get(f"/api/v4.1/integrations/customers/ann/reward-campaigns-progress?campaignId={ONCE}")).json()
    assert (before[0]["achievedCount"], before[0]["canAchieve"]) == (0, True)
    clock.go(minutes=3)
    after = (await ask.get(f"/api/v4.1/integrations/customers/ann/reward-campaigns-progress?campaignId={ONCE}")).json()
    assert (after[0]["achievedCount"], after[0]["canAchieve"], after[0]["completionPercentage"]) == (1, False, 100.0)
    assert program.points("ann") == 50


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        pytest.param({"challengeId": ONCE}, 400, 3000, "customer id is missing", id="no customer"),
        pytest.param({"customerId": "", "challengeId": 1}, 400, 3000, "customer id is missing", id="an empty customer"),
        pytest.param({"customerId": "ann"}, 400, 3000, "rewards campaign handle is missing", id="no campaign"),
        pytest.param({"customerId": "ann", "challengeId": -1}, 422, 3003, "invalid challengeId value", id="negative"),
        pytest.param({"customerId": "a" * 101, "challengeId": 1}, 422, 3003, "invalid customerId value", id="too long"),
        pytest.param({"customerId": "cid", "challengeId": 1}, 404, 4004, "customer does not exist", id="a stranger"),
        pytest.param([], 400, 3016, "the payload is malformed", id="not an object"),
    ],
)
async def test_documented_refusals(ask, body, status, code, message):
    answer = await ask.post(SOCIAL, json=body)
    said = answer.json()
    assert (answer.status_code, said["code"], said["message"]) == (status, code, message)
    assert {"type", "documentationUrl", "requestId"} <= said.keys()


@pytest.mark.parametrize("version", ["v4.0", "v4.1"])
@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_without_the_secret_key_nothing_is_awarded_in_either_version(ask, version, secret):
    path = SOCIAL.replace("v4.1", version)
    answer = await ask.post(path, json={"customerId": "ann", "challengeId": ONCE}, headers={"secretkey": secret})
    assert (answer.status_code, answer.json()["code"]) == (401, 1006)
    assert answer.json()["message"] == "your request is missing the secret key."


async def test_v41_needs_the_secret_key_for_reads_too_and_v40_does_not(ask):
    path = "/api/{}/integrations/customers/ann"
    assert (await ask.get(path.format("v4.0"), headers={"secretkey": ""})).status_code == 200
    refused = await ask.get(path.format("v4.1"), headers={"secretkey": ""})
    assert (refused.status_code, refused.json()["code"]) == (401, 1001)
    assert (await ask.get(path.format("v4.1"), headers={"apikey": "x"})).json()["code"] == 1000


async def test_the_same_again_within_the_window_is_refused_and_earns_nothing(ask, program, clock):
    await achieve(ask)
    clock.go(seconds=59)
    again = await achieve(ask)
    assert (again.status_code, again.json()["code"]) == (400, 4000)
    assert again.json()["message"] == "can't send this action multiple times"
    clock.go(minutes=10)
    program.settle(clock())
    assert program.points("ann") == 50


async def test_outside_the_window_a_one_time_campaign_accepts_and_ignores(ask, program, clock):
    await achieve(ask)
    clock.go(minutes=5)
    assert (await achieve(ask)).status_code == 202
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 50
    assert [one.fate for one in program.submissions] == ["granted", "ignored"]


async def test_outside_the_window_a_repeatable_campaign_pays_again_up_to_its_limit(ask, program, clock):
    for _ in range(3):
        assert (await achieve(ask, AGAIN)).status_code == 202
        clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 200
    assert program.achieved["ann", AGAIN] == 2


async def test_a_campaign_of_another_type_or_an_unknown_one_is_accepted_and_ignored(ask, program, clock):
    assert (await achieve(ask, SPIN)).status_code == 202
    assert (await achieve(ask, 99999)).status_code == 202
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 0
    nothing = await ask.get("/api/v4.1/integrations/customers/ann/reward-campaigns-progress?campaignId=99999")
    assert (nothing.status_code, nothing.json()) == (200, [])


async def test_a_campaign_without_points_counts_and_leaves_no_transaction(ask, program, clock):
    await achieve(ask, QUIET)
    clock.go(minutes=5)
    program.settle(clock())
    assert (program.achieved["ann", QUIET], program.ledger) == (1, [])


async def test_a_disabled_program_accepts_says_so_and_grants_nothing(ask, program, clock):
    program.enabled = False
    said = (await achieve(ask)).json()
    assert {"gameballStatus", "message", "learnMore"} <= said.keys()
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 0


async def test_who_left_the_program_earns_nothing(ask, program, clock):
    program.opt("ann", active=False)
    assert (await achieve(ask)).status_code == 202
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 0


async def test_with_merging_the_mail_address_finds_the_profile(ask, program, clock):
    program.merge_by = "email"
    body = {"customerId": "till-17", "challengeId": ONCE, "email": "ann@example.com"}
    assert (await ask.post(SOCIAL, json=body)).status_code == 202
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 50


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param("0", 422, id="zero"),
        pytest.param("-4", 422, id="negative"),
        pytest.param("abc", 400, id="not a number"),
    ],
)
async def test_progress_of_an_impossible_campaign(ask, asked, status):
    path = f"/api/v4.1/integrations/customers/ann/reward-campaigns-progress?campaignId={asked}"
    assert (await ask.get(path)).status_code == status


async def test_progress_without_a_campaign_lists_them_all(ask):
    rows = (await ask.get("/api/v4.1/integrations/customers/ann/reward-campaigns-progress")).json()
    assert [row["rewardsCampaignId"] for row in rows] == [ONCE, AGAIN, QUIET, SPIN]
    assert rows[1]["rewardCampaignConfiguration"]["maxAchievement"] == 2


async def test_transactions_name_the_campaign_and_can_be_narrowed(ask, clock):
    await achieve(ask)
    clock.go(minutes=5)
    path = "/api/v4.1/integrations/transactions"
    rows = (await ask.get(path, params={"customerId": "ann", "direction": "+"})).json()
    assert rows["count"] == 1
    assert (rows["transactions"][0]["type"], rows["transactions"][0]["achievedRewardCampaignId"]) == (
        "AchievementReward",
        str(ONCE),
    )
    last = rows["transactions"][0]["gameballTransactionId"]
    assert (await ask.get(path, params={"customerId": "ann", "startAfter": last})).json()["transactions"] == []
    assert (await ask.get(path, params={"direction": "-"})).json()["transactions"] == []


async def test_a_manual_transaction_counts_once_for_its_id(ask, program):
    body = {"customerId": "ann", "transactionId": "fwd_1", "username": "ops", "reason": "refund", "points": -20}
    path = "/api/v4.1/integrations/transactions/manual"
    assert (await ask.post(path, json=body)).json()["points"] == -20
    again = await ask.post(path, json=body)
    assert (again.status_code, again.json()["code"]) == (422, 9004)
    assert program.points("ann") == -20
    both = await ask.post(path, json={**body, "transactionId": "fwd_2", "amount": 3})
    assert (both.status_code, both.json()["message"]) == (400, "Only one rewarding method may be specified")


async def test_a_customer_is_created_once_and_keeps_what_was_known(ask, program):
    body = {"customerId": "ben", "email": "ben@example.com"}
    first = (await ask.post("/api/v4.1/integrations/customers", json=body)).json()
    assert (await ask.post("/api/v4.1/integrations/customers", json={"customerId": "ben"})).json() == first
    assert program.members["ben"].email == "ben@example.com"
    assert (await ask.get("/api/v4.1/integrations/customers/ben")).json()["customerId"] == "ben"
    assert (await ask.get("/api/v4.1/integrations/customers/cid")).status_code == 404


async def test_campaigns_can_be_listed_for_whoever_sets_it_up(ask):
    rows = (await ask.get("/api/v4.1/integrations/configurations/reward-campaigns")).json()
    assert [row["id"] for row in rows if row["type"] == "SocialMedia"] == [ONCE, AGAIN, QUIET]


async def test_more_calls_than_the_quota_are_refused_without_a_hint_how_long(ask, program, clock):
    for number in range(30):
        program.join(f"c{number}")
        assert (await achieve(ask, customer=f"c{number}")).status_code == 202
    answer = await achieve(ask)
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, None)
    clock.go(seconds=1)
    assert (await achieve(ask)).status_code == 202


async def test_two_calls_for_one_customer_at_the_same_moment(program, clock):
    slow = gameball(program, **_keys(), clock=clock, quotas=UNLIMITED, thinks=0.05)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=slow), base_url="http://gameball.test", headers=KEYS
    ) as ask:
        answers = await asyncio.gather(achieve(ask, ONCE), achieve(ask, AGAIN))
    assert sorted(answer.status_code for answer in answers) == [202, 422]
    assert next(one for one in answers if one.status_code == 422).json()["code"] == 2001


async def test_the_journal_shows_what_came_and_hides_the_keys(ask, clock):
    key = {"webhook-id": "fwd_7", "webhook-signature": "v1,xyz", "idempotency-key": "fwd_7"}
    await achieve(ask, **key)
    row = (await ask.get("/sandbox/journal")).json()["requests"][0]
    assert (row["method"], row["path"], row["status"], row["fault"]) == ("POST", SOCIAL, 202, None)
    assert row["body"] == {"customerId": "ann", "challengeId": ONCE}
    assert {name: row["headers"][name] for name in key} == key
    assert row["headers"]["apikey"] == row["headers"]["secretkey"] == "redacted"
    clock.go(minutes=5)
    state = (await ask.get("/sandbox/state")).json()
    assert state["customers"]["ann"] == {"points": 50, "achieved": {str(ONCE): 1}, "active": True}
    assert state["submissions"][0]["key"] == "fwd_7"


async def test_customers_can_be_added_from_outside(ask, program):
    await ask.post("/sandbox/customers", json=["ben", {"id": "cleo", "email": "cleo@example.com"}])
    assert {"ann", "ben", "cleo"} == program.members.keys()


def _keys():
    return {"api_key": KEYS["apikey"], "secret_key": KEYS["secretkey"]}
