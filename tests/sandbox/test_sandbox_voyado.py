"""Voyado's stand-in answers as Voyado's documentation says."""

import httpx2
import pytest

from bridge.sandbox.challenges import Definition, Engage, name
from bridge.sandbox.voyado import voyado

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
