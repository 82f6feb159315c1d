"""`status` and `why`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import FOLLOW_RULE, ORDER_RULE, House

from .conftest import Cli, one_delivered, one_failed

Fill = Callable[..., None]


def test_all_is_well(cli: Cli, fill: Fill) -> None:
    fill()
    said = cli("status")
    assert said.status == 0
    assert said.out.startswith("All is well.")


def test_waiting_for_a_link_is_calm(cli: Cli, fill: Fill) -> None:
    async def follow(house: House) -> None:
        await house.follow()

    fill(follow)
    said = cli("status")
    assert said.status == 0
    assert "All is well." in said.out
    assert "1 fact waits for a customer to link their twitch account" in said.out


def test_what_failed_needs_a_person_and_says_what_to_type_next(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    said = cli("status")
    assert said.status == 1
    assert said.out.startswith("Needs a person")
    assert "1 forward failed at hook (order)" in said.out
    line = next(line for line in said.out.splitlines() if "list forwards" in line)
    following = line.strip().removeprefix("-> loyalty-bridge ").split()
    assert len(cli(*following, "--json").rows) == 1


def test_since_leaves_out_what_is_older(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    assert cli("status", "--since", "1h").status == 1
    assert cli("status", "--since", "0s").status == 0


def test_a_held_a_paused_and_an_unjudged_one_each_need_a_person(cli: Cli, fill: Fill) -> None:
    rule = ORDER_RULE.replace('"order"', '"bad"', 1).replace("total >= 50.0", "discount_codes[0] == 'X'")

    async def orders(house: House) -> None:
        await house.order()

    fill(orders, ORDER_RULE, rule)
    [pending] = cli("list", "forwards", "--json").rows
    assert cli("hold", pending["id"], "--because", "looks odd").status == 0
    assert cli("pause", "hook", "--because", "they asked").status == 0
    groups = {group["kind"]: group for group in cli("status", "--json").rows}
    assert {kind for kind, group in groups.items() if group["person"]} == {"held", "paused", "unjudged"}
    assert groups["held"]["reason"] == "looks odd"
    assert groups["paused"]["next"] == "loyalty-bridge resume hook"
    assert "bad: where" in groups["unjudged"]["reason"]
    assert cli("resume", "hook", "--because", "done").status == 0
    assert "paused" not in {group["kind"] for group in cli("status", "--json").rows}


def results(cli: Cli, who: str) -> dict[str, str]:
    said = cli("why", who, "--json")
    assert said.status == 0, said.err
    return {row["rule"]: row["result"] for row in said.rows}


def test_why_somebody_was_rewarded(cli: Cli, fill: Fill) -> None:
    fill(one_delivered)
    for name in ("77", "ann@example.com", "ANN@example.com"):
        assert results(cli, name) == {"follow": "not seen", "order": "rewarded"}
    told = cli("why", "77").out
    assert "rewarded" in told
    assert "no account at twitch is linked" in told
    assert "a***@example.com" in told


def test_why_by_phone_account_and_handle(cli: Cli, fill: Fill) -> None:
    async def story(house: House) -> None:
        await house.follow("1234")
        await house.follow("99")
        await house.link("bob", "99", phone="+46701234567")

    fill(story)
    assert results(cli, "+46 70 123 45 67")["follow"] == "on its way"
    assert results(cli, "99")["follow"] == "on its way"
    assert results(cli, "1234")["follow"] == "not linked"
    assert results(cli, "@user1234")["follow"] == "not linked"
    assert "loyalty-bridge link CUSTOMER twitch 1234" in cli("why", "1234").out


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"total_price": "10.00"}, "condition"),
        ({}, "failed"),
    ],
    ids=["below the condition", "refused by the target"],
)
def test_why_not(cli: Cli, fill: Fill, changes: dict[str, str], result: str) -> None:
    async def story(house: House) -> None:
        house.vendor.answers("POST", "hook.test", 422)
        await house.order(**changes)
        await house.work()

    fill(story)
    assert results(cli, "77")["order"] == result


def test_why_not_because_the_rule_is_younger(cli: Cli, fill: Fill) -> None:
    fill(one_delivered, ORDER_RULE)
    fill(None, ORDER_RULE, ORDER_RULE.replace('"order"', '"younger"', 1))
    assert results(cli, "77") == {"order": "rewarded", "younger": "not considered"}
    assert "reconsider --rule younger" in cli("why", "77").out


def test_why_not_because_the_account_earned_it_for_somebody_else(cli: Cli, fill: Fill) -> None:
    async def story(house: House) -> None:
        await house.link("ann", "1")
        await house.follow("1")
        await house.work()

    fill(story, FOLLOW_RULE)
    assert cli("unlink", "twitch", "1", "--because", "wrong").status == 0
    assert cli("link", "bob", "twitch", "1").status == 0
    assert results(cli, "bob") == {"follow": "limit"}


def test_nobody_is_known_by_it(cli: Cli, fill: Fill) -> None:
    fill()
    said = cli("why", "nobody")
    assert (said.status, "nobody is known as nobody" in said.err) == (1, True)
