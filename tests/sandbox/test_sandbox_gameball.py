"""Gameball's stand-in answers as Gameball's documentation says."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from bridge.flows import operate
from bridge.kit import Outcome, Unavailable, Verdict
from bridge.sandbox.faults import KINDS
from bridge.sandbox.gameball import gameball
from bridge.sandbox.gate import UNLIMITED
from bridge.sandbox.program import Campaign, Program
from bridge.talk import Failed
from providers.loyalty.gameball import target
from tests.conftest import HEAD, ORDER_RULE, SECRETS, Builder
from tests.providers.test_gameball_openapi import CLAW, FORWARD, Wire, hold

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
    assert (program.achieved["ann", QUIET], len(program.ledger)) == (1, 0)


async def test_a_disabled_program_accepts_says_so_and_grants_nothing(ask, program, clock):
    program.enabled = False
    said = (await achieve(ask)).json()
    assert {"gameballStatus", "message", "learnMore"} <= said.keys()
    clock.go(minutes=5)
    program.settle(clock())
    assert program.points("ann") == 0


async def test_what_comes_to_a_disabled_program_is_lost_or_kept(ask, program, clock):
    """Their pages do not say which, so a client must be right either way."""
    program.enabled = False
    await achieve(ask)
    clock.go(minutes=5)
    program.enabled = True
    program.settle(clock())
    assert (program.points("ann"), program.submissions[0].why) == (0, "the program is disabled")
    program.enabled, program.keeps = False, True
    await achieve(ask)
    clock.go(minutes=5)
    program.settle(clock())
    assert (program.points("ann"), program.submissions[1].fate) == (0, "waiting")
    program.enabled = True
    program.settle(clock())
    assert (program.points("ann"), program.submissions[1].fate) == (50, "granted")


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


async def test_the_ledger_comes_in_pages_oldest_first(ask, program, clock):
    for number in range(5):
        program.ledger.enter("ann", number + 1, clock(), "PaymentReward")
    program.ledger.enter("ben", 9, clock(), "PaymentReward")
    path, after, seen = "/api/v4.1/integrations/transactions", 0, []
    for _ in range(3):
        query = {"customerId": "ann", "direction": "+", "limit": 2, "startAfter": after}
        page = (await ask.get(path, params=query)).json()
        seen += [(row["points"], page["hasMore"], page["count"]) for row in page["transactions"]]
        after = page["transactions"][-1]["gameballTransactionId"]
    assert seen == [(1, True, 2), (2, True, 2), (3, True, 2), (4, True, 2), (5, False, 1)]


async def test_a_plus_that_nobody_encoded_is_no_direction(ask):
    path = "/api/v4.1/integrations/transactions"
    assert (await ask.get(f"{path}?direction=+")).json()["code"] == 3003
    assert (await ask.get(f"{path}?direction=%2B")).status_code == 200


async def test_a_line_that_is_held_back_is_found_by_its_status(ask, program, clock):
    line = program.ledger.enter("ann", 5, clock(), "PaymentReward")
    program.ledger.mark(line.number, "Blocked")
    path = "/api/v4.1/integrations/transactions"
    assert (await ask.get(path, params={"status": "Active"})).json()["count"] == 0
    [row] = (await ask.get(path, params={"status": "Blocked"})).json()["transactions"]
    assert row["status"] == "Blocked"


BOOK = {"customerId": "ann", "transactionId": "fwd_1", "username": "ops", "reason": "refund", "points": -20}
MANUAL = "/api/v4.1/integrations/transactions/manual"


async def test_a_manual_transaction_counts_once_for_its_id(ask, program, clock):
    assert (await ask.post(MANUAL, json=BOOK)).json()["points"] == -20
    clock.go(days=300)
    again = await ask.post(MANUAL, json=BOOK)
    assert (again.status_code, again.json()["code"]) == (422, 9004)
    assert program.points("ann") == -20
    [row] = (await ask.get("/api/v4.1/integrations/transactions", params={"direction": "-"})).json()["transactions"]
    told = (row["transactionId"], row["type"], row["points"], row["reason"])
    assert told == ("fwd_1", "ManualDeduction", 20, "refund")


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        pytest.param({"points": None}, 400, "A rewarding criteria is required", id="nothing to do"),
        pytest.param({"amount": 3}, 400, "Only one rewarding method may be specified", id="points and amount"),
        pytest.param({"points": 5, "expiryAfter": -1}, 400, "Expiry cannot be negative", id="expiry before it begins"),
        pytest.param({"expiryAfter": 30}, 400, "Deduction cannot have expiry", id="a deduction that expires"),
        pytest.param({"points": 0.5}, 422, 3003, id="half a point"),
        pytest.param({"points": 0}, 422, 3003, id="no point"),
        pytest.param({"points": "-20"}, 422, 3003, id="a text"),
        pytest.param({"reason": ""}, 400, 3000, id="no reason"),
        pytest.param({"transactionId": None}, 400, 3000, id="no id"),
        pytest.param({"customerId": "nobody"}, 404, 7000, id="a stranger"),
        pytest.param({"transactionTime": "2026-11-20T12:00:01Z"}, 422, 9007, id="in the future"),
        pytest.param({"transactionTime": "noon"}, 422, 9007, id="no time"),
        pytest.param({"transactionTime": "2026-11-20T11:00:00"}, 422, 9003, id="the time of another"),
    ],
)
async def test_documented_refusals_of_manual_transactions(ask, program, change, status, said):
    before = {**BOOK, "transactionId": "earlier", "points": 100, "transactionTime": "2026-11-20T11:00:00Z"}
    assert (await ask.post(MANUAL, json=before)).json()["points"] == 100
    answer = await ask.post(MANUAL, json={**BOOK, **change})
    assert (answer.status_code, answer.json()["code" if isinstance(said, int) else "message"]) == (status, said)
    assert program.points("ann") == 100


async def test_who_may_not_be_taken_from(ask, program):
    program.opt("ann", active=False)
    assert (await ask.post(MANUAL, json=BOOK)).json()["code"] == 3009
    program.opt("ann", active=True)
    program.overdraw = False
    assert (await ask.post(MANUAL, json=BOOK)).json()["code"] == 9008
    program.enabled = False
    assert (await ask.post(MANUAL, json=BOOK)).json()["code"] == 6000
    assert len(program.ledger) == 0


async def test_a_customer_is_created_once_and_keeps_what_was_known(ask, program):
    body = {"customerId": "ben", "email": "ben@example.com"}
    first = (await ask.post("/api/v4.1/integrations/customers", json=body)).json()
    assert (await ask.post("/api/v4.1/integrations/customers", json={"customerId": "ben"})).json() == first
    assert program.members["ben"].email == "ben@example.com"
    assert (await ask.get("/api/v4.1/integrations/customers/ben")).json()["customerId"] == "ben"
    assert (await ask.get("/api/v4.1/integrations/customers/cid")).status_code == 404


async def test_with_merging_a_customer_is_made_known_once_for_an_address(ask, program):
    program.merge_by = "email"
    body = {"customerId": "till-17", "email": "ann@example.com"}
    made = (await ask.post("/api/v4.1/integrations/customers", json=body)).json()
    assert made["gameballId"] == program.members["ann"].number
    assert "till-17" not in program.members


async def test_campaigns_can_be_listed_for_whoever_sets_it_up(ask, program, clock):
    path = "/api/v4.1/integrations/configurations/reward-campaigns"
    rows = (await ask.get(path)).json()
    assert [row["id"] for row in rows if row["type"] == "SocialMedia"] == [ONCE, AGAIN, QUIET]
    program.campaigns[ONCE] = replace(program.campaigns[ONCE], active=False)
    program.campaigns[AGAIN] = replace(program.campaigns[AGAIN], ends=clock())
    assert [row["id"] for row in (await ask.get(path)).json()] == [AGAIN, QUIET, SPIN]
    assert [row["id"] for row in (await ask.get(f"{path}?customerId=ann")).json()] == [QUIET, SPIN]


async def test_a_hidden_campaign_is_granted_and_shows_no_progress(ask, program, clock):
    program.campaigns[ONCE] = replace(program.campaigns[ONCE], visibility="NotVisible")
    program.campaigns[AGAIN] = replace(program.campaigns[AGAIN], visibility="VisibleIfEarned")
    path = "/api/v4.1/integrations/customers/ann/reward-campaigns-progress"
    assert [row["rewardsCampaignId"] for row in (await ask.get(path)).json()] == [QUIET, SPIN]
    for campaign in (ONCE, AGAIN):
        assert (await achieve(ask, campaign)).status_code == 202
    clock.go(minutes=5)
    assert [row["rewardsCampaignId"] for row in (await ask.get(path)).json()] == [AGAIN, QUIET, SPIN]
    assert program.points("ann") == 150


async def test_a_customers_id_may_hold_a_slash(ask, program, clock):
    program.join("till/17")
    await achieve(ask, customer="till/17")
    clock.go(minutes=5)
    path = "/api/v4.1/integrations/customers/till%2F17"
    assert (await ask.get(path)).json()["customerId"] == "till/17"
    rows = (await ask.get(f"{path}/reward-campaigns-progress?campaignId={ONCE}")).json()
    assert [row["achievedCount"] for row in rows] == [1]


async def test_a_merchant_may_set_the_oldest_version_that_is_served(program, clock):
    api = gameball(program, **_keys(), clock=clock, least="v4.1")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=api), base_url="http://gameball.test", headers=KEYS
    ) as ask:
        path = "/api/{}/integrations/configurations/reward-campaigns"
        assert (await ask.get(path.format("v4.1"))).status_code == 200
        refused = await ask.get(path.format("v4.0"))
        assert (refused.status_code, refused.json()["message"]) == (403, "the minimum allowed version is v4.1")
        assert (await ask.get(path.format("v3.0"))).status_code == 404


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


# The bridge's own client against it, on every bad day there is

SETTINGS = {"api_key": KEYS["apikey"], "secret_key": KEYS["secretkey"]}
AWARD = replace(FORWARD, customer=replace(FORWARD.customer, id="ann"))
BACK = replace(CLAW, customer=AWARD.customer)

#: What the client concludes from a call that changes something, and whether it took effect.
BAD_DAYS = {
    "slow": (Verdict.UNCLEAR, 1),
    "slow_before": (Verdict.UNCLEAR, 0),
    "drop_before": (Verdict.UNCLEAR, 0),
    "drop_after": (Verdict.UNCLEAR, 1),
    "cut": (Verdict.UNCLEAR, 1),
    "500_before": (Verdict.UNCLEAR, 0),
    "500_after": (Verdict.UNCLEAR, 1),
    "503": (Verdict.UNCLEAR, 0),
    "429": (Verdict.LATER, 0),
    "html": (Verdict.UNCLEAR, 0),
    "html_503": (Verdict.UNCLEAR, 0),
    "redirect": (Verdict.MISCONFIGURED, 0),
    "wrong_json": (Verdict.UNCLEAR, 1),
    "revoked": (Verdict.MISCONFIGURED, 0),
    "says": (Verdict.REFUSED, 0),
}
DAYS = pytest.mark.parametrize("kind", list(KINDS))


def arm(api, kind, on="writes"):
    more = {"slow": {"seconds": 30}, "slow_before": {"seconds": 30}}
    more["says"] = {"status": 422, "body": {"code": 3009, "message": "inactive"}}
    api.faults.arm(kind, on=on, **more.get(kind, {}))


def patience(kind):
    """Seconds until the caller gives up: soon where the vendor is slow on purpose, else not at all."""
    return 0.2 if "slow" in kind else 20


async def attempt(wire, talk, clock, kind, forward=AWARD):
    """A call as the engine makes it: what breaks off is in doubt only if something may have arrived."""
    try:
        return await hold(wire, talk, forward, clock, seconds=patience(kind))
    except Failed as failure:
        return Outcome(Verdict.UNCLEAR if failure.sent else Verdict.LATER, failure.message)


async def rewarded(wire, clock):
    await hold(wire, target.send(AWARD, SETTINGS), AWARD, clock)
    clock.now = BACK.created_at


@DAYS
async def test_an_award_on_a_bad_day_and_what_the_count_says_afterwards(api, program, clock, kind):
    wire = Wire(api)
    before = await hold(wire, target.baseline(AWARD, SETTINGS), AWARD, clock)
    arm(api, kind)
    outcome = await attempt(wire, target.send(AWARD, SETTINGS), clock, kind)
    assert (outcome.verdict, len(program.submissions)) == BAD_DAYS[kind]
    clock.go(minutes=40)
    seen = await hold(wire, target.reconcile(AWARD, before, SETTINGS), AWARD, clock)
    assert seen.verdict is (Verdict.DONE if program.points("ann") else Verdict.LATER)
    assert program.points("ann") == 50 * BAD_DAYS[kind][1]


@DAYS
async def test_a_claw_back_on_a_bad_day_takes_once_however_often_it_is_tried(api, program, clock, kind):
    wire = Wire(api)
    await rewarded(wire, clock)
    forward = replace(BACK, baseline=await hold(wire, target.baseline(BACK, SETTINGS), BACK, clock))
    arm(api, kind)
    outcome = await attempt(wire, target.undo(forward, SETTINGS), clock, kind, forward)
    assert (outcome.verdict, 1 - program.points("ann") // 50) == BAD_DAYS[kind]
    seen = await hold(wire, target.reconcile(forward, forward.baseline, SETTINGS), forward, clock)
    assert seen.verdict is (Verdict.LATER if program.points("ann") else Verdict.DONE)
    again = await hold(wire, target.undo(forward, SETTINGS), forward, clock)
    assert again.verdict is (Verdict.DUPLICATE if BAD_DAYS[kind][1] else Verdict.DONE)
    assert program.points("ann") == 0


@DAYS
async def test_creating_a_customer_on_a_bad_day_leaves_no_doubt_and_makes_one(api, program, clock, kind):
    wire = Wire(api)
    nobody = replace(AWARD, customer=replace(AWARD.customer, id="ben"))
    assert (await hold(wire, target.send(nobody, SETTINGS), nobody, clock)).missing
    arm(api, kind)
    verdict = (await attempt(wire, target.create(nobody, SETTINGS), clock, kind, nobody)).verdict
    expected, effect = BAD_DAYS[kind]
    assert verdict is (Verdict.LATER if expected is Verdict.UNCLEAR else expected)
    assert ("ben" in program.members) == bool(effect)
    assert (await hold(wire, target.create(nobody, SETTINGS), nobody, clock)).verdict is Verdict.DONE
    assert list(program.members) == ["ann", "ben"]
    assert await hold(wire, target.baseline(nobody, SETTINGS), nobody, clock) == "0"


@DAYS
async def test_a_read_on_a_bad_day_says_nothing_that_is_not_so(api, program, clock, kind):
    """No read may come to a count, an amount, or a word that it happened, out of an answer that is none."""
    wire = Wire(api)
    await rewarded(wire, clock)
    asks = {
        "count": lambda: target.baseline(AWARD, SETTINGS),
        "amount": lambda: target.baseline(BACK, SETTINGS),
        "reconcile": lambda: target.reconcile(AWARD, "0", SETTINGS),
        "granted": lambda: target.granted(AWARD, "0", SETTINGS),
        "taken": lambda: target.reconcile(BACK, "50 points", SETTINGS),
        "probe": lambda: target.probe([AWARD.options], SETTINGS),
    }
    doubts = []
    for what, ask in asks.items():
        arm(api, kind, on="reads")
        try:
            found = await hold(wire, ask(), AWARD, clock, seconds=patience(kind))
        except Unavailable as failure:
            doubts.append(getattr(failure, "sent", False))
            continue
        if what == "probe":
            assert len(found) == 1
            assert "Gameball answered" in found[0]
        elif kind == "says":  # a 422 is its word that it shows none
            assert (found == "") if what == "count" else found.verdict is Verdict.UNCLEAR
        else:
            assert (kind, found.verdict) == ("revoked", Verdict.MISCONFIGURED)
    assert not any(doubts)
    assert not api.faults
    assert await hold(wire, target.baseline(BACK, SETTINGS), BACK, clock) == "50 points"


def test_every_bad_day_there_is_stands_in_the_table():
    assert set(BAD_DAYS) == set(KINDS)


# A whole bridge against it

REWARDED = ORDER_RULE.replace(
    'to = "hook", event = "order", data = { total = "=total" }', f'to = "gameball", challenge_id = {AGAIN}'
)
CREATING = HEAD.replace("[target.gameball]", '[target.gameball]\nmissing_customer = "create"')


def meet(house, program):
    """Put the stand-in in the vendor's place; what it is for a test to arm."""
    keys = {"api_key": SECRETS["GAMEBALL_API_KEY"], "secret_key": SECRETS["GAMEBALL_SECRET_KEY"]}
    api = gameball(program, **keys, clock=house.clock)
    wire = Wire(api)

    async def vendor(asked):
        url = f"https://gameball.test{asked.path}"
        request = httpx2.Request(asked.method, url, headers=asked.headers, content=asked.body)
        answer = await wire.handle_async_request(request)
        return answer.status_code, await answer.aread(), dict(answer.headers)

    for method in ("GET", "POST"):
        house.vendor.always(method, "gameball.test", vendor)
    return api


async def pass_time(house, *, minutes, steps):
    for _ in range(steps):
        await house.work()
        house.clock.tick(minutes=minutes)


ONCE_LOST = [kind for kind, (verdict, _) in BAD_DAYS.items() if verdict in (Verdict.UNCLEAR, Verdict.LATER)]


@pytest.mark.parametrize("kind", [kind for kind in ONCE_LOST if "slow" not in kind])
async def test_a_whole_bridge_takes_back_what_a_cancelled_order_gave(build_house: Builder, program, kind):
    """Two orders are paid and rewarded, and the first is cancelled: its points go, once, whatever happens."""
    async with build_house(REWARDED) as house:
        api = meet(house, program)
        program.join("77")
        for order in (5001, 5002):
            await house.order(order)
            await pass_time(house, minutes=4, steps=5)
        assert program.points("77") == 200
        await house.cancel_order(5001)
        arm(api, kind)
        await pass_time(house, minutes=10, steps=12)
        first, second, undo = await house.forwards()
        assert (first["state"], second["state"]) == ("delivered", "delivered")
        assert (undo["kind"], undo["state"], undo["undoes"]) == ("undo", "delivered", first["id"])
        assert program.points("77") == 100
        taken = [line for line in program.ledger if line.points < 0]
        assert [(line.transaction, line.points) for line in taken] == [(undo["id"], -100)]


async def test_what_cannot_be_told_is_left_to_a_person_who_says_so(build_house: Builder, program):
    """The reward's points were blocked as fraud: nothing is taken, and the operator reads what to do."""
    async with build_house(REWARDED) as house:
        meet(house, program)
        program.join("77")
        await house.order()
        await pass_time(house, minutes=4, steps=5)
        [line] = program.ledger
        program.ledger.mark(line.number, "Blocked")
        await house.cancel_order()
        await pass_time(house, minutes=10, steps=3)
        _, undo = await house.forwards()
        assert (undo["state"], undo["sent"]) == ("failed", 0)
        assert "Blocked, not Active: take it back by hand in Gameball, then confirm this forward" in undo["reason"]
        await house.operate_on(operate.confirm, undo, "they never had them")
        assert [row["state"] for row in await house.forwards()] == ["delivered", "delivered"]
        assert program.points("77") == 100


@pytest.mark.parametrize("campaign", [ONCE, AGAIN])
@pytest.mark.parametrize("kind", [None, "drop_after", "500_before", "429", "html"])
async def test_a_customer_nobody_knew_is_made_known_and_rewarded_once(build_house: Builder, program, kind, campaign):
    """`missing_customer = "create"`: the call finds nobody, the customer is made known, and the call is made again."""
    rule = REWARDED.replace(str(AGAIN), str(campaign))
    async with build_house(rule, head=CREATING) as house:
        api = meet(house, program)
        await house.order()
        if kind:
            api.faults.arm("says", on="writes", status=404, body={"code": 4004, "message": "customer does not exist"})
            arm(api, kind)  # the second write is the one that creates
        await pass_time(house, minutes=10, steps=12)
        assert (program.members["77"].email, len(program.members)) == ("ann@example.com", 2)
        row = await house.forward()
        assert (row["state"], row["reason"][:16]) == ("delivered", "achieved 1 times")
        assert program.points("77") == program.campaigns[campaign].points
        assert len(program.submissions) == 1


async def test_a_customer_who_comes_later_is_waited_for(build_house: Builder, program):
    async with build_house(REWARDED) as house:
        meet(house, program)
        await house.order()
        await pass_time(house, minutes=60, steps=3)
        row = await house.forward()
        assert (row["state"], "waits for the customer" in row["reason"]) == ("pending", True)
        assert "77" not in program.members
        program.join("77")
        await pass_time(house, minutes=60, steps=3)
        assert ((await house.forward())["state"], program.points("77")) == ("delivered", 100)


async def test_what_was_accepted_and_never_granted_says_why_and_is_repaired_by_replay(build_house: Builder, program):
    """The customer had left the program; once they are back, an operator sends it again, and it is paid once."""
    async with build_house(REWARDED) as house:
        meet(house, program)
        program.join("77")
        program.opt("77", active=False)
        await house.order()
        await pass_time(house, minutes=10, steps=10)
        row = await house.forward()
        assert row["state"] == "failed"
        assert "never granted" in row["reason"]
        assert "Gameball says that the customer cannot achieve it" in row["reason"]
        program.opt("77", active=True)
        await house.operate_on(operate.replay_forward, row, "they are back")
        await pass_time(house, minutes=10, steps=3)
        assert ((await house.forward())["state"], program.points("77")) == ("delivered", 100)


async def test_while_the_program_is_switched_off_the_target_waits(build_house: Builder, program):
    """A 202 with a status besides is no reward: the target pauses, and goes on when somebody says so."""
    async with build_house(REWARDED) as house:
        meet(house, program)
        program.join("77")
        program.enabled = False
        await house.order()
        await pass_time(house, minutes=10, steps=5)
        assert (await house.forward())["state"] == "pending"
        [row] = [row for row in await house.rows("targets") if row["name"] == "gameball"]
        assert "switched off" in row["reason"]
        assert len(program.submissions) == 1
        program.enabled = True
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: operate.resume(tx, "gameball", scene, "it is on again"))
        await pass_time(house, minutes=10, steps=5)
        assert ((await house.forward())["state"], program.points("77")) == ("delivered", 100)
