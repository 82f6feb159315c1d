"""The demo page over a written bridge: what the buttons send, what the stories say, and that forms suffice."""

import re

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from bridge.kit import standard_headers
from bridge.sandbox import loyalty
from bridge.sandbox import stage as stages
from bridge.sandbox.buttons import ACTS
from bridge.sandbox.demo import DOMAIN, throwaway, vendors
from bridge.sandbox.loyalty import Busy, Told
from bridge.sandbox.page import page
from bridge.sandbox.reviews import Reviews
from bridge.sandbox.shop import Shop
from bridge.sandbox.twitch import EventSub
from bridge.sandbox.weather import WAYS

from .conftest import words

KEYS = throwaway()
GAMEBALL = {"apikey": KEYS["GAMEBALL_API_KEY"], "secretkey": KEYS["GAMEBALL_SECRET_KEY"]}


class Written:
    """A bridge that says what was written for it, and answers webhooks from a list."""

    def __init__(self):
        self.rows = {}
        self.answers = []
        self.came = []
        self.linked = []
        self.operated = []

    async def lately(self, kind):
        return self.rows.get(kind, [])

    async def link(self, customer, source, account):
        self.linked.append((customer, source, account))

    async def operate(self, verb, name):
        self.operated.append((verb, name))
        return f"{name} is due now."

    async def hook(self, request: Request):
        self.came.append((request.path_params["source"], dict(request.headers), await request.json()))
        status, said = self.answers.pop(0) if self.answers else (200, {"status": "accepted", "delivery": "del_1"})
        return JSONResponse(said, status)


@pytest.fixture
def bridge():
    return Written()


@pytest.fixture
async def stage(bridge, clock):
    app = Starlette(routes=[Route("/webhooks/{source}", bridge.hook, methods=["POST"])])
    root, community = "http://bridge.test/webhooks", Busy([loyalty.SUBSCRIBED])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        yield stages.Stage(
            twitch=EventSub(stages.channel(), callback=f"{root}/twitch", secret="0123456789", clock=clock),
            shop=Shop(callback=f"{root}/shop", secret="0123456789", clock=clock),
            reviews=Reviews(callback=f"{root}/reviews", secret=KEYS["REVIEWS_SECRET"], clock=clock),
            apis=vendors(KEYS, community, clock),
            community=community,
            client=client,
            clock=clock,
        )


@pytest.fixture
async def visit(bridge, stage):
    app = Starlette(routes=[Mount("/demo", page(bridge, stage, console="/console", toml="[[rule]]"))])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bridge.test") as made:
        yield made


async def press(visit, act, who="ann", which="gameball"):
    return await visit.post("/demo/act", data={"act": act, "who": who, "which": which})


async def ask(stage, name, path, body, **headers):
    """Ask a loyalty API as a bridge does."""
    transport = httpx2.ASGITransport(app=stage.api(name).stand_in)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as sender:
        answer = await sender.post(path, json=body, headers={"user-agent": "LoyaltyBridge/1", **headers})
    assert answer.is_success, answer.text
    return answer.json()


async def achieve(stage, forward):
    body = {"customerId": "7001", "challengeId": loyalty.FOLLOW.id}
    path = "/api/v4.1/integrations/customers/social-challenges"
    await ask(stage, "gameball", path, body, **GAMEBALL, **{"webhook-id": forward})


async def give(stage, batch, *people):
    rows = [
        {"definitionId": loyalty.ORDERS.id, "contactId": loyalty.contact(one), "checkpointAmount": 1} for one in people
    ]
    headers = {"apikey": KEYS["VOYADO_API_KEY"], "webhook-id": batch}
    await ask(stage, "voyado", "/api/v3/challenges/checkpoints", rows, **headers)


async def pay(stage, forward):
    token = await ask(
        stage, "popsell", "/api/v2/auth/token", {"api_key": KEYS["POPSELL_API_KEY"]}, **{"x-popsell-domain": DOMAIN}
    )
    headers = {"authorization": f"Bearer {token['token']}", "webhook-id": forward}
    body = {"points": 20, "score": 20, "message": "Thank you"}
    await ask(stage, "popsell", "/api/v2/manager/ambassadors/7001/challenge-histories", body, **headers)


async def play(stage, forward):
    body = {"userId": "7001", "eventType": "review", "metadata": {"bridge_ref": forward}}
    secret = {"x-api-secret": KEYS["GAMIFYHOST_API_SECRET"]}
    await ask(stage, "gamifyhost", f"/v1/campaigns/{loyalty.SPRING.slug}/events", body, **secret)


async def welcome(stage, forward):
    body = {"userId": "7001", "eventType": "welcome", "reference": forward}
    await ask(stage, "gamifyhost", "/v1/points/award", body, **{"x-api-secret": KEYS["GAMIFYHOST_API_SECRET"]})


async def tell(stage, forward, code=""):
    body = {"type": "order.paid", "data": {"customer": {"id": "7001"}, **({"code": code} if code else {})}}
    raw = httpx2.Request("POST", "http://api.test", json=body).content
    headers = standard_headers([KEYS["CRM_SECRET"]], forward, stage.clock(), raw)
    await ask(stage, "crm", "/hook", body, **headers)


async def newest(visit) -> str:
    return words((await visit.get("/demo/now")).json()["stories"][0]["html"])


async def test_every_button_stands_on_the_page_with_its_sentence(visit):
    html = (await visit.get("/demo/")).text
    for act in ACTS.values():
        assert f'value="{act.name}" aria-describedby="says-{act.name}"' in html
        assert f'id="says-{act.name}"' in html
    assert "Nothing yet." in html


async def test_a_press_is_a_form_and_leads_back_to_its_story(visit, bridge):
    answer = await press(visit, "follow", "ben")
    assert (answer.status_code, answer.headers["location"]) == (303, "./?who=ben&which=gameball#story-1")
    html = (await visit.get("/demo/?who=ben&which=popsell")).text
    assert re.search(r'value="ben" checked', html)
    assert re.search(r'value="popsell" checked', html)
    assert "Ben follows on Twitch" in html
    assert bridge.came[0][2]["event"]["user_id"] == "2001"


async def test_nobody_presses_from_another_site(visit, bridge):
    for route, data in (("act", {"act": "follow"}), ("operate", {"verb": "release", "name": "fwd_1"})):
        refused = await visit.post(f"/demo/{route}", data=data, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403
    assert (bridge.came, bridge.operated) == ([], [])


async def test_an_act_that_does_not_exist(visit):
    assert (await press(visit, "explode")).status_code == 400
    assert (await visit.post("/demo/operate", data={"verb": "explode", "name": "fwd_1"})).status_code == 400


async def test_all_buttons_work_before_anything_has_happened(visit):
    for name in ACTS:
        assert (await press(visit, name)).status_code == 303
    assert (await visit.get("/demo/")).status_code == 200


async def test_the_whole_story_from_delivery_to_points(visit, bridge, stage, clock):
    await press(visit, "follow")
    bridge.rows = {
        "deliveries": [{"id": "del_1", "state": "processed", "source": "twitch", "at": 1795176000000, "copies": 0}],
        "evidence": [
            {"id": "evi_1", "delivery": "del_1", "source": "twitch", "action": "follow", "account": "1001"}
            | {"key": "1971641:1001", "state": "considered", "undone": 0, "reason": ""}
        ],
        "forwards": [
            {"id": "fwd_1", "evidence": "evi_1", "rule": "twitch-follow", "target": "gameball", "kind": "reward"}
            | {"state": "pending", "due_at": clock().timestamp() * 1000 + 6000}
        ],
    }
    said = await newest(visit)
    for part in ("Delivery processed answered 200", "Evidence considered twitch.follow by AnnPlays"):
        assert part in said
    assert "Rule applies twitch-follow Forward pending due in 6 s" in said
    bridge.rows["forwards"][0] |= {"state": "accepted", "due_at": None}
    bridge.rows["attempts"] = [{"forward": "fwd_1", "number": 1, "verdict": "accepted", "note": "", "status": 202}]
    await achieve(stage, "fwd_1")
    assert "Forward accepted to Gameball Attempt accepted answered 202 Gameball promised" in await newest(visit)
    clock.go(seconds=5)
    assert "Gameball granted +50 points, once" in await newest(visit)
    now = (await visit.get("/demo/now")).json()
    assert "Paid exactly once" in words(now["parts"]["sums"])
    assert "Gameball granted: +50 points, once" in now["said"]


@pytest.mark.parametrize(
    ("answers", "rows", "said"),
    [
        pytest.param([(401, {"error": "bad_signature"})], {}, "Delivery rejected answered 401", id="refused"),
        pytest.param([(200, {"status": "duplicate", "delivery": "d"})], {}, "Known already", id="a duplicate"),
        pytest.param([(200, {"status": "accepted", "delivery": "d"})], {}, "a fact that is known", id="a known fact"),
        pytest.param(
            [(200, {"status": "accepted", "delivery": "d"})],
            {"evidence": [{"id": "e", "delivery": "d", "state": "waiting", "source": "twitch", "action": "follow"}]},
            "It waits until the customer is linked",
            id="waiting for a link",
        ),
        pytest.param(
            [(200, {"status": "accepted", "delivery": "d"})],
            {"evidence": [{"id": "e", "delivery": "d", "state": "considered", "reason": "total is too small"}]},
            "No rule owes anything for it: total is too small.",
            id="nothing owed",
        ),
    ],
)
async def test_how_a_story_can_end_early(visit, bridge, answers, rows, said):
    bridge.answers, bridge.rows = answers, rows
    await press(visit, "follow")
    assert said in await newest(visit)


async def test_an_attempt_that_got_no_answer_tells_how_it_was_found_out(visit, bridge):
    await press(visit, "order")
    bridge.rows = {
        "evidence": [{"id": "evi_1", "delivery": "del_1", "state": "considered"}],
        "forwards": [{"id": "fwd_1", "evidence": "evi_1", "rule": "big", "target": "gameball", "state": "delivered"}],
        "attempts": [
            {"forward": "fwd_1", "number": 1, "verdict": "done", "note": "achieved once", "status": None}
            | {"sent_at": 1, "ended_at": 2, "resolved_at": 9, "resolution": "happened"}
        ],
    }
    assert "Attempt done no answer; asked later: achieved once" in await newest(visit)
    bridge.rows["attempts"][0] |= {"resolved_at": 2, "note": "1 checkpoint added"}  # one of many in a call
    assert "Attempt done 1 checkpoint added" in await newest(visit)


async def test_a_delivery_that_could_not_be_stored_is_not_called_refused(visit, bridge):
    bridge.answers = [(503, {})]
    await press(visit, "order")
    assert "Delivery unavailable answered 503 It could not be written down" in await newest(visit)


async def test_a_refund_shows_what_became_of_the_order(visit, bridge):
    await press(visit, "order")
    bridge.answers = [(200, {"status": "accepted", "delivery": "del_2"})]
    bridge.rows = {
        "evidence": [
            {"id": "evi_2", "delivery": "del_2", "source": "shop", "key": "9", "undone": 1, "state": "considered"},
            {"id": "evi_1", "delivery": "del_1", "source": "shop", "key": "9", "undone": 0, "state": "considered"},
        ],
        "forwards": [
            {"id": "fwd_1", "evidence": "evi_1", "rule": "big-order", "state": "cancelled", "reason": "refunded"}
        ],
    }
    await press(visit, "refund")
    assert "Forward cancelled refunded" in await newest(visit)


async def test_delivered_three_times_is_the_same_webhook(visit, bridge):
    await press(visit, "order")
    await press(visit, "thrice")
    assert len({headers["x-shopify-webhook-id"] for _, headers, _ in bridge.came}) == 1
    assert len(bridge.came) == 4
    assert "3 times answered 200" in await newest(visit)


async def test_a_captured_order_has_another_id_and_the_same_bytes(visit, bridge):
    await press(visit, "order")
    await press(visit, "captured")
    (_, first, body), (_, second, again) = bridge.came
    assert first["x-shopify-webhook-id"] != second["x-shopify-webhook-id"]
    assert (first["x-shopify-hmac-sha256"], body) == (second["x-shopify-hmac-sha256"], again)


async def test_connecting_links_both_accounts(visit, bridge):
    await press(visit, "link", "cleo")
    assert bridge.linked == [("7003", "twitch", "3001"), ("7003", "twitch", "3002")]
    assert "not connected" not in words((await visit.get("/demo/now")).json()["parts"]["people"])


async def test_each_loyalty_api_misbehaves_by_itself_and_is_well_again(visit, stage):
    async def weather():
        return words((await visit.get("/demo/now")).json()["parts"]["weather"])

    for api in stage.apis:
        for bad in WAYS:
            await press(visit, bad.name, which=api.name)
            assert await weather() == f"{api.title} is {bad.state} and {bad.is_so}."
            [armed] = api.stand_in.faults
            assert (armed.kind, armed.on) == (bad.kind, bad.more.get("on", "all"))
            assert [one.name for one in stage.apis if one.stand_in.faults] == [api.name]
        await press(visit, "up", which=api.name)
        assert await weather() == "All are up and answer as documented."
    await press(visit, "sale")
    assert await weather() == "Popsell is treacherous and will do the next call's work and hang up."


HELD = {
    "gameball": (achieve, "+50 points, once", "50 points"),
    "popsell": (pay, "+20 points, +20 score, once", "20 points, score 20"),
    "gamifyhost": (play, "a play in spring-draw, once", "510 points, 1 play, prize SPRI-********"),
    "gamifyhost, an award": (welcome, "+25 points, once", "25 points"),
    "crm": (tell, "once", "told once"),
}


@pytest.mark.parametrize("name", HELD)
async def test_what_a_loyalty_api_really_holds_is_read_from_itself(visit, stage, clock, name):
    call, said, held = HELD[name]
    api = stage.api(name.partition(",")[0])
    assert api.arrived(api.stand_in)(Told("fwd_1", "7001")) is None
    await call(stage, "fwd_1")
    clock.go(seconds=5)
    got = api.arrived(api.stand_in)(Told("fwd_1", "7001"))
    assert (got.state, got.text, got.times) == ("received" if name == "crm" else "granted", said, 1)
    assert api.arrived(api.stand_in)(Told("fwd_2", "7001")) is None
    assert api.calls == 1
    people = words((await visit.get("/demo/now")).json()["parts"]["people"])
    assert f"{api.title} {held} " in people
    assert people.count(f"{api.title} {held} ") == 1


async def test_what_was_paid_twice_is_seen_twice(visit, bridge, stage):
    await pay(stage, "fwd_1")
    await pay(stage, "fwd_1")
    api = stage.api("popsell")
    got = api.arrived(api.stand_in)(Told("fwd_1", "7001"))
    assert (got.text, got.times) == ("+40 points, +40 score, twice", 2)
    bridge.rows = {"forwards": [{"id": "fwd_1", "target": "popsell", "state": "delivered", "kind": "reward"}]}
    assert "More was granted than owed" in words((await visit.get("/demo/now")).json()["parts"]["sums"])


async def test_a_row_of_a_call_is_known_by_its_contact_and_its_time(stage, clock):
    """A call of many rows has a name of its own; which forward a row is of, the attempt's time says."""
    api, times = stage.api("voyado"), []
    for batch, people in (("bat_1", ("7001", "7002")), ("bat_2", ("7001",))):
        times.append(int(clock().timestamp() * 1000))
        await give(stage, batch, *people)
        clock.go(seconds=10)
    arrived = api.arrived(api.stand_in)

    def tried(at, customer="7001", ended=2000):
        return Told("fwd_1", customer, [{"sent_at": at, "ended_at": None if ended is None else at + ended}])

    first = arrived(tried(times[0]))
    assert (first.text, first.call) == ("+1 checkpoint, once, in a call of 2", "bat_1")
    assert arrived(tried(times[1])).text == "+1 checkpoint, once"
    assert arrived(tried(times[1], "7002")) is None
    assert arrived(tried(times[0], ended=None)).times == 2  # it is under way still, and both came since
    assert arrived(Told("fwd_1", "7001", [{"sent_at": None, "ended_at": times[0]}])) is None
    assert api.held_for("7001") == "2 of 5 checkpoints"
    for _ in range(4):
        await give(stage, "bat_3", "7001")
    assert api.held_for("7001") == "1 of 5 checkpoints, 1 times full"


async def test_what_the_crm_got_is_counted_once_and_its_codes_are_masked(visit, bridge, stage):
    await press(visit, "small")
    bridge.rows = {
        "evidence": [{"id": "evi_1", "delivery": "del_1", "state": "considered"}],
        "forwards": [
            {"id": "fwd_9", "evidence": "evi_1", "rule": "order-to-crm", "target": "crm", "state": "delivered"},
            {
                "id": "fwd_8",
                "evidence": "evi_1",
                "rule": "draw",
                "target": "crm",
                "state": "delivered",
                "send": "0.tell",
            },
        ],
    }
    for _ in range(2):
        await tell(stage, "fwd_9")
    await tell(stage, "fwd_8", code="SPRI-K7KKKKKK")
    said = await newest(visit)
    assert "Rule applies order-to-crm Forward delivered to CRM CRM received came twice, counted once" in said
    assert "Rule tells draw Forward delivered to CRM CRM received once, with the prize code SPRI-********" in said
    assert "K7K" not in (await visit.get("/demo/")).text


async def test_many_facts_are_one_story(visit, bridge, stage, clock):
    now = int(clock().timestamp() * 1000)
    bridge.answers = [(200, {"status": "accepted", "delivery": f"del_{number}"}) for number in range(20)]
    await press(visit, "crowd")
    assert len({headers["x-shopify-webhook-id"] for _, headers, _ in bridge.came}) == 20
    ids = [str(buyer.id) for buyer in stage.crowd]
    bridge.rows["evidence"] = [
        {"id": f"evi_{n}", "delivery": f"del_{n}", "state": "considered", "source": "shop", "action": "order_paid"}
        | {"key": str(n)}
        for n in range(20)
    ]
    bridge.rows["forwards"] = [
        {"id": f"fwd_{n}", "evidence": f"evi_{n}", "rule": "order-checkpoint", "target": "voyado", "kind": "reward"}
        | {"customer": f'{{"id": "{ids[n]}"}}', "state": "delivered" if n < 19 else "pending"}
        for n in range(20)
    ]
    bridge.rows["attempts"] = [
        {"forward": f"fwd_{n}", "number": 1, "verdict": "done", "sent_at": now, "ended_at": now + 5} for n in range(19)
    ]
    await give(stage, "bat_1", *ids[:19])
    said = await newest(visit)
    assert "Delivery processed 20 times answered 200 Evidence considered 20 times shop.order_paid" in said
    assert (
        "Forwards pending 19 delivered, 1 pending Calls open 19 in one call Voyado granted 19 of 20, once each" in said
    )


async def test_what_needs_a_person_stands_there_until_somebody_has_decided(visit, bridge):
    bridge.rows = {
        "targets": [
            {"name": "popsell", "paused_at": 1, "reason": "no token is given for our key"},
            {"name": "gameball", "paused_at": None, "reason": ""},
        ],
        "forwards": [
            {"id": "fwd_1", "rule": "big-order", "target": "gameball", "state": "held", "reason": "nobody can tell"}
            | {"customer": '{"id": "7002"}'},
            {"id": "fwd_2", "rule": "order-checkpoint", "target": "voyado", "state": "delivered", "wish": "undo"},
            {"id": "fwd_3", "rule": "big-order", "target": "gameball", "state": "delivered"},
        ],
    }
    await press(visit, "revoked", which="popsell")
    needs = (await visit.get("/demo/now")).json()["parts"]["needs"]
    assert words(needs) == (
        "Needs a person Popsell is paused no token is given for our key. Popsell no longer knows our key: make it well "
        "first. Make it well Resume big-order for Ben at Gameball is held nobody can tell Ask it again I see it there "
        "It is not there: withdraw it order-checkpoint for somebody at Voyado is to be taken back by hand "
        "I have taken it back"
    )
    answer = await visit.post("/demo/operate", data={"verb": "release", "name": "fwd_1"})
    assert answer.status_code == 303
    assert bridge.operated == [("release", "fwd_1")]
    assert "Somebody has it asked again" in await newest(visit)
    assert "fwd_1 is due now." in await newest(visit)


async def test_only_what_has_changed_travels(visit):
    first = (await visit.get("/demo/now")).json()
    assert (await visit.get("/demo/now", params={"stamp": first["stamp"]})).json() == {"stamp": first["stamp"]}
    await press(visit, "follow")
    assert "parts" in (await visit.get("/demo/now", params={"stamp": first["stamp"]})).json()


async def test_what_others_send_is_written_as_text(visit, bridge):
    bridge.answers = [(200, {"status": "<b>ok</b>", "delivery": "del_1"})]
    bridge.rows = {"rejections": [{"source": "<script>alert(1)</script>", "reason": "bad_signature", "at": 0}]}
    await press(visit, "follow")
    html = (await visit.get("/demo/")).text
    assert "<script>alert" not in html
    assert "<b>ok</b>" not in html


async def test_nothing_comes_from_elsewhere(visit):
    page = await visit.get("/demo/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "style=" not in page.text
    for name in re.findall(r'"(static/[^"]+)"', page.text):
        assert (await visit.get(f"/demo/{name}")).status_code == 200
