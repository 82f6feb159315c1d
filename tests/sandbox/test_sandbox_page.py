"""The demo page over a written bridge: what the buttons send, what the stories say, and that forms suffice."""

import re

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from bridge.kit import standard_headers
from bridge.sandbox import stage as stages
from bridge.sandbox.acts import ACTS
from bridge.sandbox.gameball import gameball
from bridge.sandbox.helix import helix
from bridge.sandbox.page import page
from bridge.sandbox.program import Program
from bridge.sandbox.receiver import Inbox, receiver
from bridge.sandbox.shop import Shop
from bridge.sandbox.twitch import EventSub

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Written:
    """A bridge that says what was written for it, and answers webhooks from a list."""

    def __init__(self):
        self.rows = {}
        self.answers = []
        self.came = []
        self.linked = []

    async def lately(self, kind):
        return self.rows.get(kind, [])

    async def link(self, customer, source, account):
        self.linked.append((customer, source, account))

    async def hook(self, request: Request):
        self.came.append((request.path_params["source"], dict(request.headers), await request.json()))
        status, said = self.answers.pop(0) if self.answers else (200, {"status": "accepted", "delivery": "del_1"})
        return JSONResponse(said, status)


@pytest.fixture
def bridge():
    return Written()


@pytest.fixture
async def stage(bridge, clock):
    program, inbox, channel = Program([stages.FOLLOW, stages.ORDER]), Inbox(), stages.channel()
    app = Starlette(routes=[Route("/webhooks/{source}", bridge.hook, methods=["POST"])])
    root = "http://bridge.test/webhooks"
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        yield stages.Stage(
            twitch=EventSub(channel, callback=f"{root}/twitch", secret="0123456789", clock=clock),
            shop=Shop(callback=f"{root}/shop", secret="0123456789", clock=clock),
            helix=helix(channel, token="t", client_id="c", clock=clock),
            gameball=gameball(program, api_key="a", secret_key="b", clock=clock),
            program=program,
            crm=receiver(inbox, [KEY], clock=clock),
            inbox=inbox,
            client=client,
            clock=clock,
        )


@pytest.fixture
async def visit(bridge, stage):
    app = Starlette(routes=[Mount("/demo", page(bridge, stage, console="/console", toml="[[rule]]"))])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bridge.test") as made:
        yield made


async def press(visit, act, who="ann"):
    return await visit.post("/demo/act", data={"act": act, "who": who})


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


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
    assert (answer.status_code, answer.headers["location"]) == (303, "./?who=ben#story-1")
    html = (await visit.get("/demo/?who=ben")).text
    assert re.search(r'value="ben" checked', html)
    assert "Ben follows on Twitch" in html
    assert bridge.came[0][2]["event"]["user_id"] == "2001"


async def test_nobody_presses_from_another_site(visit, bridge):
    refused = await visit.post("/demo/act", data={"act": "follow"}, headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == 403
    assert bridge.came == []


async def test_an_act_that_does_not_exist(visit):
    assert (await press(visit, "explode")).status_code == 400


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
    stage.program.submit(stage.program.members["7001"], stages.FOLLOW.id, clock(), key="fwd_1")
    assert "Forward accepted to gameball Attempt accepted answered 202 Points promised" in await newest(visit)
    clock.go(seconds=5)
    assert "Points granted +50 points, once" in await newest(visit)
    now = (await visit.get("/demo/now")).json()
    assert "Paid exactly once" in words(now["parts"]["sums"])
    assert "Points granted: +50 points, once" in now["said"]


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
            | {"sent_at": 1, "resolution": "happened"}
        ],
    }
    assert "Attempt done no answer; asked later: achieved once" in await newest(visit)


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


async def test_the_loyalty_api_goes_down_hangs_up_and_comes_back(visit, stage):
    for act, state in (("down", "down"), ("up", "up"), ("dropped", "treacherous"), ("up", "up")):
        await press(visit, act)
        assert f"The loyalty API is {state}" in words((await visit.get("/demo/now")).json()["parts"]["weather"])
    assert not stage.gameball.faults


async def test_what_the_crm_got_is_counted_once(visit, bridge, stage, clock):
    await press(visit, "small")
    bridge.rows = {
        "evidence": [{"id": "evi_1", "delivery": "del_1", "state": "considered"}],
        "forwards": [
            {"id": "fwd_9", "evidence": "evi_1", "rule": "order-to-crm", "target": "crm", "state": "delivered"}
        ],
    }
    body = b'{"type":"order.paid"}'
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=stage.crm), base_url="http://crm.test") as sender:
        for _ in range(2):
            await sender.post("/hook", content=body, headers=standard_headers([KEY], "fwd_9", clock(), body))
    assert "CRM received came twice, counted once" in await newest(visit)


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
