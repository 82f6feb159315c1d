"""Voyado's stand-in answers as Voyado's documentation says, and our target gets on with it, whatever goes wrong."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from bridge.kit import Attempt, Customer, Forward, Outcome, Unavailable, Verdict
from bridge.sandbox.challenges import Definition, Engage, name
from bridge.sandbox.faults import KINDS
from bridge.sandbox.serving import serving
from bridge.sandbox.voyado import voyado
from bridge.talk import Failed, Talker, Transport
from providers.loyalty.voyado import AGREED, target

KEY = {"apikey": "vy_test_key"}
HEADERS = {**KEY, "user-agent": "AcmePOS/1.5", "content-type": "application/json"}
STAMPS, AGAIN, OPEN, DRAFT, RECEIPTS = (name("definition", n) for n in range(5))
ANN = name("contact", 0)
STRANGER = name("nobody", 0)
ROOT = "/api/v3"


@pytest.fixture
def engage(clock) -> Engage:
    made = Engage(
        [
            Definition(id=STAMPS, name="Five reviews", required=5),
            Definition(id=AGAIN, name="Buy two get one", required=2, recurring=True),
            Definition(id=OPEN, name="For everybody", required=3, consent=False),
            Definition(id=DRAFT, name="Not yet", status="Draft"),
            Definition(id=RECEIPTS, name="Dog food", assign_on="ReceiptLineQuantity"),
        ]
    )
    made.join(ANN, email="ann+news@example.com", mobile="+46701234567", external="ext/77", member="1001")
    made.assign(ANN, STAMPS, clock())
    made.assign(ANN, AGAIN, clock())
    return made


@pytest.fixture
def api(engage, clock):
    return voyado(engage, api_key=KEY["apikey"], clock=clock)


@pytest.fixture
async def ask(api):
    transport = httpx2.ASGITransport(app=api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test", headers=HEADERS) as made:
        yield made


def row(contact=ANN, definition=STAMPS, amount=1):
    return {"definitionId": definition, "contactId": contact, "checkpointAmount": amount}


async def award(ask, *rows, **headers):
    return await ask.post(f"{ROOT}/challenges/checkpoints", json=list(rows), headers=headers)


async def challenges(ask, contact=ANN, **query):
    return await ask.get(f"{ROOT}/challenges", params={"contactId": contact, **query})


# --- the stand-in -----------------------------------------------------------------------------------------------------


async def test_checkpoints_add_up_and_a_repeat_gives_again(ask, engage, clock):
    for count in (1, 2):
        clock.go(minutes=1)
        answer = await award(ask, row())
        lists = {"missingContactIds": [], "missingDefinitionIds": [], "notAccepted": []}
        assert (answer.status_code, answer.json()) == (200, lists)
        assert engage.got[ANN, STAMPS] == count
    found = (await challenges(ask, definitionId=STAMPS)).json()
    assert (found["count"], found["offset"], found["totalCount"]) == (1, 0, 1)
    shown = found["items"][0]
    assert (shown["completedCheckpoints"], shown["requiredCheckpoints"]) == (2, 5)
    assert shown["latestCheckpointAddedOn"] == "2026-11-20T13:02:00.0000000+01:00"
    assert (shown["isActive"], shown["isChallengeCompleted"], shown["status"]) == (True, False, 3)


async def test_the_field_called_challenge_id_is_the_definitions(ask):
    shown = (await challenges(ask, definitionId=STAMPS)).json()["items"][0]
    assert (shown["challengeId"], shown["contactId"]) == (STAMPS, ANN)
    alone = (await ask.get(f"{ROOT}/challenges/{shown['id']}")).json()
    assert {link["rel"]: link["id"] for link in alone["links"]} == {"self": shown["id"], "definition": STAMPS}


async def test_wrong_rows_are_skipped_and_the_others_count(ask, engage):
    wrong = [
        row(contact=STRANGER),
        row(definition=STRANGER),
        row(definition=OPEN, contact=ANN, amount=0),
        row(definition=RECEIPTS),
        row(definition=DRAFT),
        "a row",
    ]
    answer = await award(ask, *wrong, row(amount=2))
    assert answer.status_code == 200
    assert answer.json() == {
        "missingContactIds": [STRANGER],
        "missingDefinitionIds": [STRANGER],
        "notAccepted": wrong,
    }
    assert dict(engage.got) == {(ANN, STAMPS): 2}
    unknown = "there is no such contact or definition"
    assert [one.why for one in engage.given] == [unknown, unknown, "not assigned", "the definition is not active", ""]


async def test_a_completed_challenge_takes_no_more(ask, engage, clock):
    await award(ask, row(amount=4))
    await award(ask, row(amount=4))
    assert engage.got[ANN, STAMPS] == 5
    assert (await award(ask, row())).json()["notAccepted"] == [row()]
    shown = (await challenges(ask, definitionId=STAMPS, filter="Completed")).json()["items"][0]
    assert (shown["isActive"], shown["isChallengeCompleted"], shown["status"]) == (False, True, 1)
    assert shown["challengeCompletedOn"] == shown["latestCheckpointAddedOn"]


async def test_a_recurring_one_begins_again(ask, engage):
    await award(ask, row(definition=AGAIN, amount=2))
    await award(ask, row(definition=AGAIN))
    both = (await challenges(ask, definitionId=AGAIN)).json()["items"]
    assert [one["completedCheckpoints"] for one in both] == [2, 1]
    assert len({one["id"] for one in both}) == 2
    active = (await challenges(ask, definitionId=AGAIN, filter="Active")).json()["items"]
    assert [one["id"] for one in active] == [both[1]["id"]]
    done = [(await challenges(ask, definitionId=AGAIN, filter=one)).json() for one in ("Completed", "NotCompleted")]
    assert [one["totalCount"] for one in done] == [1, 1]


async def test_one_that_is_over_or_waits_for_consent_takes_none(ask, engage, clock):
    engage.end(ANN, STAMPS)
    assert (await award(ask, row())).json()["notAccepted"]
    engage.invite(ANN, RECEIPTS, clock())
    assert (await award(ask, row(definition=RECEIPTS))).json()["notAccepted"]
    path = f"{ROOT}/challenges/definitions/{{}}/assign?contactId={ANN}"
    for definition in (STAMPS, RECEIPTS):
        assert (await ask.post(path.format(definition))).json() is True
    taken = await award(ask, row(), row(definition=RECEIPTS))
    assert taken.json()["notAccepted"] == [row()]


async def test_assigning_is_the_same_however_often(ask, engage):
    path = f"{ROOT}/challenges/definitions/{RECEIPTS}/assign?contactId={ANN}"
    for _ in range(3):
        answer = await ask.post(path)
        assert (answer.status_code, answer.json()) == (200, True)
    assert len(engage.of(ANN, RECEIPTS)) == 1
    assert (await ask.post(path.replace(RECEIPTS, STRANGER))).status_code == 404
    assert (await ask.post(path.replace(ANN, STRANGER))).json()["errorCode"] == "ContactNotFound"


async def test_without_consent_the_first_checkpoint_begins_it(ask, engage):
    assert (await award(ask, row(definition=OPEN))).json()["notAccepted"] == []
    assert engage.got[ANN, OPEN] == 1


async def test_a_call_takes_a_thousand_rows(ask, engage):
    assert (await award(ask, *[row()] * 1001)).status_code == 400
    assert not engage.given
    assert len((await award(ask, *[row()] * 1000)).json()["notAccepted"]) == 995
    for body in (b"{}", b"[", b""):
        assert (await ask.post(f"{ROOT}/challenges/checkpoints", content=body)).status_code == 400


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        pytest.param({"email": "ann+news@example.com"}, 200, ANN, id="by e-mail"),
        pytest.param({"mobilePhone": "+46701234567"}, 200, ANN, id="by phone"),
        pytest.param({"customKey": "ext/77"}, 200, ANN, id="by the tenant's key"),
        pytest.param({"customKey": "ext/77", "contactType": "member"}, 200, ANN, id="of a type"),
        pytest.param({"email": "bob@example.com"}, 404, "ContactNotFound", id="nobody"),
        pytest.param({"email": "ann news@example.com"}, 400, "InvalidEmailAddress", id="a plus that was not encoded"),
        pytest.param({"mobilePhone": " 46701234567"}, 400, "InvalidPhoneNumber", id="a phone's plus, neither"),
        pytest.param({"customKey": "ext/77", "contactType": "x"}, 400, "InvalidContactType", id="no such type"),
        pytest.param({}, 400, "InvalidSearchQuery", id="nothing"),
        pytest.param({"customKey": "twin"}, 409, "MultipleMatches", id="two of them"),
    ],
)
async def test_finding_a_contact(ask, engage, query, status, said):
    for number in (1, 2):
        engage.join(name("contact", number), external="twin")
    answer = await ask.get(f"{ROOT}/contacts/id", params=query)
    assert answer.status_code == status
    assert (answer.json() if status == 200 else answer.json()["errorCode"]) == said


async def test_what_the_pages_leave_open_can_be_set(engage, clock):
    other = voyado(engage, api_key="k", clock=clock, key_header="x-api-key", custom_key="", errors="text", fine={})
    headers = {**HEADERS, "apikey": "", "x-api-key": "k"}
    transport = httpx2.ASGITransport(app=other)
    async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test", headers=headers) as ask:
        answer = await ask.get(f"{ROOT}/contacts/id", params={"customKey": "1001"})
        assert (answer.status_code, answer.json()) == (500, "InvalidSystemConfiguration")
        assert (await award(ask, row())).json() == {}
        engage.words = True
        assert (await challenges(ask, definitionId=STAMPS)).json()["items"][0]["status"] == "Active"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"apikey": "x"}, 401, id="a wrong key"),
        pytest.param({"apikey": ""}, 401, id="no key"),
        pytest.param({"user-agent": ""}, 400, id="no user agent"),
        pytest.param({"user-agent": "curl"}, 400, id="a user agent without a version"),
        pytest.param({"content-type": ""}, 500, id="no content type, of a GET"),
        pytest.param({"content-type": "text/plain"}, 500, id="another content type"),
    ],
)
async def test_who_may_call(ask, headers, status):
    answer = await ask.get(f"{ROOT}/challenges/definitions", headers=headers)
    assert answer.status_code == status
    assert "message" in answer.json()


async def test_more_calls_than_the_limit_are_refused(engage, clock):
    slow = voyado(engage, api_key=KEY["apikey"], clock=clock, per_second=2)
    transport = httpx2.ASGITransport(app=slow)
    async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test", headers=HEADERS) as ask:
        assert [(await challenges(ask)).status_code for _ in range(3)] == [200, 200, 429]
        clock.go(seconds=1)
        assert (await challenges(ask)).status_code == 200


async def test_lists_come_in_pages_with_links(ask):
    path = f"{ROOT}/challenges/definitions"
    first = (await ask.get(path, params={"count": 2})).json()
    assert (first["count"], first["offset"], first["totalCount"], len(first["items"])) == (2, 0, 5, 2)
    assert [(link["rel"], bool(link["href"])) for link in first["links"]] == [("previous", False), ("next", True)]
    second = (await ask.get(first["links"][1]["href"])).json()
    assert (second["offset"], len(second["items"])) == (2, 2)
    last = (await ask.get(second["links"][1]["href"])).json()
    assert [(link["rel"], bool(link["href"])) for link in last["links"]] == [("previous", True), ("next", False)]
    ids = [one["id"] for page in (first, second, last) for one in page["items"]]
    assert ids == [STAMPS, AGAIN, OPEN, DRAFT, RECEIPTS]
    assert (await ask.get(path, params={"offset": "x"})).status_code == 400
    active = (await ask.get(path, params={"status": "Active"})).json()["items"]
    assert [(one["id"], one["checkpointAssignOn"]) for one in active] == [
        (STAMPS, 0),
        (AGAIN, 0),
        (OPEN, 0),
        (RECEIPTS, 2),
    ]


async def test_an_address_that_is_no_tenants_answers_with_a_page(ask):
    answer = await ask.get("/api/v2/challenges")
    assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")


async def test_the_journal_shows_what_came_and_hides_the_key(ask):
    await award(ask, row(), **{"webhook-id": "fwd_7"})
    shown = (await ask.get("/sandbox/journal")).json()["requests"][-1]
    assert (shown["body"], shown["headers"]["webhook-id"], shown["headers"]["apikey"]) == ([row()], "fwd_7", "redacted")
    state = (await ask.get("/sandbox/state")).json()
    assert state["contacts"][ANN]["got"][STAMPS] == 1
    assert state["given"] == [{"contact": ANN, "definition": STAMPS, "amount": 1, "key": "fwd_7", "why": ""}]


async def test_contacts_and_definitions_can_be_added_from_outside(ask, engage):
    bob, dogs = name("contact", 7), name("definition", 7)
    await ask.post("/sandbox/contacts", json=[{"id": bob, "email": "bob@example.com"}, {"email": "cleo@example.com"}])
    await ask.post("/sandbox/definitions", json={"id": dogs, "name": "Dog food", "required": 2})
    assert (await ask.get(f"{ROOT}/contacts/id", params={"email": "bob@example.com"})).json() == bob
    assert (await ask.get(f"{ROOT}/challenges/definitions/{dogs}")).json()["requiredNumberOfCheckpoints"] == 2
    assert len(engage.contacts) == 3


# --- our target against it, over real connections ---------------------------------------------------------------------

FORWARD = Forward(
    id="fwd_1",
    rule="review",
    send="voyado",
    target="voyado",
    customer=Customer(id="ext/77", email="ann+news@example.com", phone="+46701234567"),
    options={"definition_id": STAMPS, "checkpoints": 1},
    source="reviews",
    action="review",
    subject="p1",
    facts={},
    occurred_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    created_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
)


class Payer:
    """Does what a worker does with one forward: baseline, call, and after doubt a look at the record."""

    def __init__(self, talker, clock, url, api):
        self.talker, self.clock, self.api = talker, clock, api
        self.settings = {"base_url": url, "api_key": KEY["apikey"]}
        self.said = []
        self.before_a_look = lambda: None

    async def hold(self, talk, within=5.0):
        """What was learned, or what its failure proves."""
        try:
            return await self.talker.hold(talk, within=timedelta(seconds=within))
        except Failed as failure:
            return Outcome(Verdict.UNCLEAR if failure.sent else Verdict.LATER, failure.message)
        except Unavailable as failure:
            return Outcome(Verdict.LATER, failure.message)

    async def settled(self):
        """What `reconcile_after` is for: whatever the target was asked, it has come to its end."""
        for _ in range(500):
            if all(entry["status"] or entry["fault"] not in ("slow", "slow_before") for entry in self.api.journal):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("a slow request never ended")

    async def pay(self, forward, *, within=5.0, tries=12):
        """How it ends: delivered, refused, misconfigured, or unclear: held for a person."""
        for _ in range(tries):
            outcome = await self._once(forward, within)
            self.said.append(outcome)
            if outcome.verdict is not Verdict.LATER:
                return outcome
            self.clock.go(seconds=60)
        raise AssertionError(f"never settled: {self.said}")

    async def _once(self, forward, within):
        known = await self.hold(target.find(forward, self.settings), within)
        if isinstance(known, Outcome):
            return known
        forward = replace(forward, known_as=known)
        baseline = await self.hold(target.baseline(forward, self.settings), within)
        if isinstance(baseline, Outcome):
            return baseline
        forward, sent = replace(forward, baseline=baseline), self.clock()
        outcome = await self.hold(target.send(forward, self.settings), within)
        if outcome.verdict is Verdict.UNCLEAR:
            await self.settled()
            self.before_a_look()
        while outcome.verdict is Verdict.UNCLEAR:
            self.clock.go(seconds=30)
            attempt = Attempt(forward=forward.id, number=1, leased_at=sent, lease_until=sent, sent_at=sent)
            doubt = replace(forward, earlier=replace(attempt, baseline=baseline))
            try:
                talk = target.reconcile(doubt, baseline, self.settings)
                return await self.talker.hold(talk, within=timedelta(seconds=within))
            except Unavailable as failure:  # the read failed: look again
                self.said.append(Outcome(Verdict.UNCLEAR, failure.message))
        return outcome


@pytest.fixture
async def payer(api, clock):
    return Payer(Talker(httpx2.ASGITransport(app=api), clock, "LoyaltyBridge/1.0"), clock, "http://acme.test", api)


@pytest.fixture
async def wired(api, clock):
    """The same over real connections, which can break."""
    async with Transport(lambda: True) as wire, serving(api) as url:
        yield Payer(Talker(wire, clock, "LoyaltyBridge/1.0"), clock, url, api)


BREAKS = ["slow", "slow_before", "drop_before", "drop_after", "cut"]
ANSWERS = [kind for kind in KINDS if kind not in BREAKS]
#: What is not answered with "try again", or settled by reading.
FINAL = {"revoked": Verdict.MISCONFIGURED, "redirect": Verdict.MISCONFIGURED}


async def gets_it_once(payer, engage, kind, on, times):
    payer.api.faults.arm(kind, on=on, times=times, seconds=0.15)
    outcome = await payer.pay(FORWARD, within=0.1 if kind.startswith("slow") else 5.0)
    assert outcome.verdict is FINAL.get(kind, Verdict.DONE), payer.said
    assert engage.got[ANN, STAMPS] == (0 if kind in FINAL else 1)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("on", ["writes", "reads"])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_whatever_it_answers_the_customer_gets_it_once(payer, engage, kind, on, times):
    await gets_it_once(payer, engage, kind, on, times)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("on", ["writes", "reads"])
@pytest.mark.parametrize("kind", BREAKS)
async def test_whenever_it_breaks_off_the_customer_gets_it_once(wired, engage, kind, on, times):
    await gets_it_once(wired, engage, kind, on, times)


async def looks_until_it_can(payer, engage, kind, times):
    payer.before_a_look = lambda: payer.api.faults.arm(kind, on="reads", times=times, seconds=0.15)
    payer.api.faults.arm("500_after", on="writes")
    outcome = await payer.pay(FORWARD, within=0.1 if kind.startswith("slow") else 5.0)
    assert outcome.verdict is Verdict.DONE
    assert [one.why for one in engage.given] == [""]
    assert len(payer.said) == times + 1


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if kind not in FINAL])
async def test_a_look_that_fails_is_no_proof_that_nothing_happened(payer, engage, kind, times):
    await looks_until_it_can(payer, engage, kind, times)


@pytest.mark.parametrize("kind", BREAKS)
async def test_neither_is_one_that_breaks_off(wired, engage, kind):
    await looks_until_it_can(wired, engage, kind, 1)


@pytest.mark.parametrize("kind", FINAL)
async def test_a_look_that_is_refused_is_for_the_operator(payer, engage, api, kind):
    payer.before_a_look = lambda: api.faults.arm(kind, on="reads")
    api.faults.arm("500_after", on="writes")
    assert (await payer.pay(FORWARD)).verdict is Verdict.MISCONFIGURED
    assert engage.got[ANN, STAMPS] == 1


async def test_somebody_elses_checkpoint_at_the_same_time_is_a_persons_to_settle(payer, engage, api, clock):
    payer.before_a_look = lambda: engage.add(ANN, STAMPS, 1, clock(), key="a receipt")
    api.faults.arm("500_after", on="writes")
    outcome = await payer.pay(FORWARD)
    assert outcome.verdict is Verdict.UNCLEAR
    assert "somebody else" in outcome.note
    assert engage.got[ANN, STAMPS] == 2


async def test_ours_completes_a_recurring_challenge_and_its_answer_is_lost(payer, engage, api, clock):
    engage.add(ANN, AGAIN, 1, clock())
    clock.go(minutes=5)
    api.faults.arm("500_after", on="writes")
    outcome = await payer.pay(replace(FORWARD, options={"definition_id": AGAIN, "checkpoints": 1}))
    assert outcome.verdict is Verdict.DONE
    assert [one.completed for one in engage.of(ANN, AGAIN)] == [2, 0]


@pytest.mark.parametrize(("surplus", "verdict"), [(False, Verdict.UNCLEAR), (True, Verdict.DONE)])
async def test_more_than_there_is_room_for_is_proved_only_where_it_is_counted(payer, engage, api, surplus, verdict):
    engage.surplus = surplus
    api.faults.arm("500_after", on="writes")
    outcome = await payer.pay(replace(FORWARD, options={"definition_id": STAMPS, "checkpoints": 7}))
    assert outcome.verdict is verdict
    assert engage.got[ANN, STAMPS] == (7 if surplus else 5)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
async def test_a_challenge_that_ends_meanwhile_is_a_persons_to_settle_unless_ours_shows(wired, engage, api, kind):
    wired.before_a_look = lambda: engage.end(ANN, STAMPS)
    api.faults.arm(kind, on="writes")
    outcome = await wired.pay(FORWARD)
    assert outcome.verdict is (Verdict.DONE if kind == "drop_after" else Verdict.UNCLEAR)


async def test_a_completed_challenge_is_left_alone(payer, engage, clock):
    engage.add(ANN, STAMPS, 5, clock())
    outcome = await payer.pay(FORWARD)
    assert outcome.verdict is Verdict.REFUSED
    assert "limit reached at the target" in outcome.note
    assert len(engage.given) == 1


@pytest.mark.parametrize(
    ("settings", "customer"),
    [
        pytest.param({}, FORWARD.customer, id="by an e-mail with a plus"),
        pytest.param({"find_by": "phone"}, FORWARD.customer, id="by a phone with its plus"),
        pytest.param({"find_by": "external_id"}, FORWARD.customer, id="by the tenant's key, with a slash"),
        pytest.param(
            *({"find_by": "external_id", "contact_type": "Member"}, FORWARD.customer),
            id="by external id in the path, with a slash",
        ),
        pytest.param({"find_by": "contact_id"}, Customer(id=ANN.upper()), id="by its own id"),
    ],
)
async def test_the_contact_is_found_by_any_name(payer, engage, settings, customer):
    payer.settings |= settings
    assert (await payer.pay(replace(FORWARD, customer=customer))).verdict is Verdict.DONE
    assert engage.got[ANN, STAMPS] == 1


@pytest.mark.parametrize(
    ("settings", "customer", "missing"),
    [
        pytest.param({}, Customer(email="bob@example.com"), True, id="nobody has this e-mail"),
        pytest.param({}, Customer(email="a&email=ann+news@example.com"), True, id="an e-mail that adds a parameter"),
        pytest.param({"find_by": "external_id"}, Customer(id="1001&x"), True, id="nobody has this key"),
        pytest.param(
            *({"find_by": "external_id", "contact_type": "Member"}, Customer(id=f"x/{ANN}"), True),
            id="an id that goes on behind a slash",
        ),
        pytest.param(
            *({"find_by": "external_id", "contact_type": "Member"}, Customer(id=f"../../{ANN}"), False),
            id="an id that climbs",
        ),
    ],
)
async def test_nobody_else_is_found(payer, engage, settings, customer, missing):
    payer.settings |= settings
    outcome = await payer.pay(replace(FORWARD, customer=customer))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, missing)
    assert not engage.given


async def test_the_challenge_begins_where_the_customer_has_agreed_and_nowhere_else(payer, engage, clock):
    silent = replace(FORWARD, options={"definition_id": RECEIPTS, "checkpoints": 2})
    outcome = await payer.pay(silent)
    assert outcome.verdict is Verdict.REFUSED
    assert "not assigned" in outcome.note
    engage.invite(ANN, RECEIPTS, clock())
    outcome = await payer.pay(silent)
    assert outcome.verdict is Verdict.REFUSED
    assert "consent" in outcome.note
    assert (await payer.pay(replace(silent, options={**silent.options, "assign": AGREED}))).verdict is Verdict.DONE
    assert engage.got[ANN, RECEIPTS] == 2
    assert len(engage.of(ANN, RECEIPTS)) == 1


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_after", "cut", "html"])
async def test_a_challenge_that_begins_with_the_first_checkpoint(wired, engage, api, kind):
    api.faults.arm(kind, on="writes")
    outcome = await wired.pay(replace(FORWARD, options={"definition_id": OPEN, "checkpoints": 1}))
    assert outcome.verdict is Verdict.DONE
    assert engage.got[ANN, OPEN] == 1


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_after", "cut"])
async def test_an_assignment_whose_answer_is_lost_is_simply_repeated(wired, engage, api, kind):
    api.faults.arm(kind, on="writes")
    options = {"definition_id": RECEIPTS, "checkpoints": 1, "assign": AGREED}
    assert (await wired.pay(replace(FORWARD, options=options))).verdict is Verdict.DONE
    assert (engage.got[ANN, RECEIPTS], len(engage.of(ANN, RECEIPTS))) == (1, 1)


async def test_what_a_call_leaves_is_what_the_next_baseline_would_read(payer, engage, clock):
    known = replace(FORWARD, known_as=ANN)
    baseline = await payer.hold(target.baseline(known, payer.settings))
    left = (await payer.hold(target.send(replace(known, baseline=baseline), payer.settings))).left
    read = await payer.hold(target.baseline(known, payer.settings))
    keep = ("id", "completedCheckpoints", "requiredCheckpoints")
    assert [json.loads(left)[name] for name in keep] == [json.loads(read)[name] for name in keep]
    assert json.loads(left)["completedCheckpoints"] == 1
    assert json.loads(read)["latestCheckpointAddedOn"] == "2026-11-20T13:00:00.0000000+01:00"


async def test_of_a_thousand_customers_ten_go_without_and_every_other_gets_one(payer, engage, clock):
    contacts = [engage.join(name("many", n)).id for n in range(1000)]
    strangers, full = contacts[100:105], contacts[995:]
    for contact in contacts:
        engage.assign(contact, STAMPS, clock())
    for contact in strangers:
        del engage.contacts[contact]
    for contact in full:
        engage.add(contact, STAMPS, 5, clock())
    forwards = [replace(FORWARD, id=f"fwd_{n}", known_as=contact) for n, contact in enumerate(contacts)]
    outcomes = await payer.hold(target.send_many(forwards, payer.settings))
    verdicts = [one.verdict for one in outcomes]
    assert verdicts.count(Verdict.DONE) == 990
    assert [n for n, one in enumerate(outcomes) if one.missing] == list(range(100, 105))
    assert [n for n, one in enumerate(verdicts) if one is Verdict.REFUSED] == [*range(100, 105), *range(995, 1000)]
    assert all(engage.got[contact, STAMPS] == 1 for contact in contacts if contact not in (*strangers, *full))
    assert payer.api.asked == 1


async def test_the_probe_finds_what_is_wrong(payer, engage, clock):
    async def said(*definitions, **settings):
        sends = [{"definition_id": one} for one in definitions]
        return await payer.talker.hold(target.probe(sends, payer.settings | settings), within=timedelta(seconds=5))

    assert await said(STAMPS, AGAIN) == []
    engage.words = True
    assert await said(STAMPS) == []
    faults = await said(STAMPS, DRAFT, RECEIPTS, STRANGER)
    assert [one.split(": ")[0] for one in faults] == [f"definition_id {one}" for one in (DRAFT, RECEIPTS, STRANGER)]
    assert ["not active" in faults[0], "receipts" in faults[1], "no such challenge" in faults[2]] == [True] * 3
    assert "key_header is wrong" in (await said(STAMPS, api_key="another"))[0]
    assert await said(STAMPS, key_header="x-api-key") == [
        'Voyado takes the key under another name: key_header = "apikey"'
    ]
    assert "base_url" in (await said(STAMPS, base_url=payer.settings["base_url"] + "/elsewhere"))[0]


async def test_a_list_of_many_pages_is_read_to_its_end(payer, engage):
    for number in range(250):
        engage.offer(Definition(id=name("filler", number)))
    last = engage.offer(Definition(id=name("filler", 250), assign_on="ReceiptTotal"))
    talk = target.probe([{"definition_id": last.id}], payer.settings)
    assert len(await payer.talker.hold(talk, within=timedelta(seconds=5))) == 1
    assert payer.api.asked == 4
