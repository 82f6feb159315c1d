"""`check --live` against every stand-in over real sockets, and a right `init` for every loyalty API before it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.app import clock
from bridge.sandbox.challenges import Definition, Engage
from bridge.sandbox.community import Challenge, Community
from bridge.sandbox.gameball import gameball
from bridge.sandbox.gamifyhost import gamifyhost
from bridge.sandbox.popsell import popsell
from bridge.sandbox.program import Campaign, Program
from bridge.sandbox.promotions import Campaign as Draw
from bridge.sandbox.promotions import Partner, Standing
from bridge.sandbox.receiver import Inbox, receiver
from bridge.sandbox.serving import serving
from bridge.sandbox.standin import StandIn
from bridge.sandbox.voyado import voyado
from providers import SOURCES, TARGETS
from tests.conftest import SECRETS

from .conftest import Cli

KEY, SECRET = "key-0123456789", "sk_test_0123456789"
HEAD = """
public_url = "https://rewards.example.com"
allow_private_networks = true
[signing]
secret = ["env:SIGNING_SECRET"]
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
"""


def at_gameball() -> StandIn:
    now = datetime.now(UTC)
    campaigns = [
        Campaign(id=1, name="Follow us", points=50),
        Campaign(id=2, name="A review", type="ProductReview"),
        Campaign(id=3, name="Switched off", active=False),
        Campaign(id=4, name="Hidden", visibility="NotVisible"),
        Campaign(id=5, name="Over", ends=now - timedelta(days=1)),
        Campaign(id=6, name="Not yet", starts=now + timedelta(days=1)),
    ]
    return gameball(Program(campaigns), api_key=KEY, secret_key=SECRET, clock=clock)


def guid(number: int) -> str:
    return f"bbf8d0a3-7057-4b21-9fd1-a9ba2111{number:04d}"


def at_voyado(key_header: str = "apikey") -> StandIn:
    definitions = [
        Definition(id=guid(1), name="Follow us"),
        Definition(id=guid(2), name="A draft", status="Draft"),
        Definition(id=guid(3), name="Over", status="Ended"),
        Definition(id=guid(4), name="Filled by receipts", assign_on="ReceiptTotal"),
    ]
    return voyado(Engage(definitions), api_key=KEY, clock=clock, key_header=key_header)


def at_popsell() -> StandIn:
    challenges = [Challenge(id=42), Challenge(id=43, active=False)]
    return popsell(Community(challenges), api_key=KEY, domain="community.example", clock=clock)


def at_gamifyhost(standing: Standing = "good") -> StandIn:
    partner = Partner([Draw(slug="spring-draw", points={"review": 10})], rules={"welcome": 25})
    partner.standing = standing
    return gamifyhost(partner, api_secret=SECRET, clock=clock)


def at_the_receiver() -> StandIn:
    return receiver(Inbox(), [SECRETS["WEBHOOK_SECRET"]], clock=clock)


#: By target: the stand-in, the right settings with {url} in them, and a send with which all is right.
RIGHT: dict[str, tuple[Callable[[], StandIn], dict[str, str], str]] = {
    "gameball": (
        at_gameball,
        {"base_url": "{url}", "api_key": "env:KEY", "secret_key": "env:SECRET"},
        "challenge_id = 1",
    ),
    "voyado": (at_voyado, {"base_url": "{url}", "api_key": "env:KEY"}, f'definition_id = "{guid(1)}"'),
    "popsell": (
        at_popsell,
        {"base_url": "{url}", "api_key": "env:KEY", "domain": "community.example"},
        "points = 20, score = 20, challenge_id = 42",
    ),
    "gamifyhost": (
        at_gamifyhost,
        {"base_url": "{url}", "api_secret": "env:SECRET"},
        'campaign = "spring-draw", event = "review"',
    ),
    "webhook": (at_the_receiver, {"url": "{url}/hook", "secret": "env:WEBHOOK_SECRET"}, 'event = "paid"'),
}


@dataclass(frozen=True)
class Wrong:
    """One thing that is not as it should be, and what the command says of it. `why` empty: nothing is."""

    name: str
    target: str
    why: str
    settings: dict[str, str] = field(default_factory=dict)  # in the place of the right ones
    send: str = ""
    there: Callable[[], StandIn] | None = None  # another stand-in


CASES = [
    *(Wrong("all is right", name, "") for name in RIGHT if name != "webhook"),
    Wrong("wrong key", "gameball", "api_key is wrong", {"api_key": "env:OTHER"}),
    Wrong("wrong secret key", "gameball", "secret_key is wrong", {"secret_key": "env:OTHER"}),
    Wrong("wrong address", "gameball", "base_url or version is wrong", {"base_url": "{url}/elsewhere"}),
    Wrong("not of type SocialMedia", "gameball", "is of type ProductReview, and SocialMedia", send="challenge_id = 2"),
    Wrong("inactive campaign", "gameball", "Gameball has no active campaign of this id", send="challenge_id = 3"),
    Wrong("no such campaign", "gameball", "Gameball has no active campaign of this id", send="challenge_id = 99"),
    Wrong("hidden campaign", "gameball", "the campaign is hidden", send="challenge_id = 4"),
    Wrong("campaign that is over", "gameball", "the campaign ended", send="challenge_id = 5"),
    Wrong("campaign to come", "gameball", "the campaign begins", send="challenge_id = 6"),
    Wrong("wrong key", "voyado", "api_key or key_header is wrong", {"api_key": "env:OTHER"}),
    Wrong(
        "key under another name",
        "voyado",
        'Voyado takes the key under another name: key_header = "x-api-key"',
        there=lambda: at_voyado("x-api-key"),
    ),
    Wrong("wrong tenant", "voyado", "base_url is not the tenant's", {"base_url": "{url}/elsewhere"}),
    Wrong("draft", "voyado", "the challenge is not active", send=f'definition_id = "{guid(2)}"'),
    Wrong("ended", "voyado", "the challenge is not active", send=f'definition_id = "{guid(3)}"'),
    Wrong("receipts fill it", "voyado", "receipts fill it already", send=f'definition_id = "{guid(4)}"'),
    Wrong("no such definition", "voyado", "Voyado has no such challenge", send=f'definition_id = "{guid(9)}"'),
    Wrong("wrong key", "popsell", "api_key is wrong: Invalid email or password", {"api_key": "env:OTHER"}),
    Wrong("wrong domain", "popsell", "the domain other.example is wrong", {"domain": "other.example"}),
    Wrong("wrong address", "popsell", "base_url is wrong", {"base_url": "{url}/elsewhere"}),
    Wrong(
        "inactive challenge", "popsell", "the challenge is not active", send="points = 1, score = 1, challenge_id = 43"
    ),
    Wrong("no such challenge", "popsell", "no such challenge", send="points = 1, score = 1, challenge_id = 99"),
    Wrong(
        "wrong key", "gamifyhost", "401 Invalid API key (asked with the key sk_test_", {"api_secret": "env:OTHER_SK"}
    ),
    Wrong("revoked key", "gamifyhost", "API key has been revoked", there=lambda: at_gamifyhost("revoked")),
    Wrong("inactive application", "gamifyhost", "Application is not active", there=lambda: at_gamifyhost("not active")),
    Wrong("wrong address", "gamifyhost", "base_url is wrong", {"base_url": "{url}/elsewhere"}),
    Wrong("no such campaign", "gamifyhost", "not found or not active", send='campaign = "autumn", event = "review"'),
    Wrong("an award", "gamifyhost", "", send='award = "welcome"'),
]


@contextmanager
def listening(stand_in: StandIn) -> Iterator[str]:
    """Serve beside the command, which has a loop of its own; gives the address."""
    ready, stop, found = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with serving(stand_in) as url:
            found.append(url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        stop.set()
        thread.join(10)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KEY": KEY, "SECRET": SECRET, "OTHER": "other", "OTHER_SK": "sk_test_other"}.items():
        monkeypatch.setenv(name, value)


def written(target: str, settings: dict[str, str], send: str, url: str) -> str:
    table = "".join(f'{key} = "{value.replace("{url}", url)}"\n' for key, value in settings.items())
    rule = '[[rule]]\nid = "order"\nwhen = "shop.order_paid"\nlimit = "per subject"\n'
    return f'{HEAD}[target.{target}]\n{table}{rule}send = {{ to = "{target}", {send} }}\n'


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.target}, {case.name}")
def test_check_live_says_what_is_wrong_at_the_loyalty_api(cli: Cli, case: Wrong) -> None:
    right, settings, send = RIGHT[case.target]
    stand_in = (case.there or right)()
    with listening(stand_in) as url:
        text = written(case.target, {**settings, **case.settings}, case.send or send, url)
        Path("bridge.toml").write_text(text)
        said, rows = cli("check", "--live"), cli("check", "--live", "--json").rows
    [told] = [row["live"] for row in rows if row["what"] == "target"]
    if case.why:
        assert said.status == 1, said.out
        assert case.why in " ".join(told)
        assert case.why.split()[0] in said.out
    else:
        assert (said.status, told) == (0, []), said.out
        assert f"{case.target}  answers, and has what the rules need" in said.out
    for value in (KEY, SECRET):
        assert value not in said.out + said.err
    assert_harmless(stand_in)


def assert_harmless(stand_in: StandIn) -> None:
    """Whatever is asked, nobody gets anything by it."""
    asked = list(stand_in.journal)
    assert asked
    posted = {one["path"] for one in asked if one["method"] != "GET"}
    assert all(path.endswith("/auth/token") for path in posted), posted


def test_a_webhook_of_yours_cannot_be_asked(cli: Cli) -> None:
    there, settings, send = RIGHT["webhook"]
    stand_in = there()
    with listening(stand_in) as url:
        Path("bridge.toml").write_text(written("webhook", settings, send, url))
        said = cli("check", "--live")
    assert said.status == 0
    assert not stand_in.journal


def test_all_of_them_are_asked_at_once_and_each_answers_for_itself(cli: Cli) -> None:
    """Every loyalty API in one bridge.toml; only Popsell has another key."""
    chosen = {name: made for name, made in RIGHT.items() if name != "webhook"}
    with (
        listening(at_gameball()) as one,
        listening(at_voyado()) as two,
        listening(at_popsell()) as three,
        listening(at_gamifyhost()) as four,
    ):
        text, sends = HEAD, ""
        for (name, (_, settings, send)), url in zip(chosen.items(), (one, two, three, four), strict=True):
            given = {**settings, **({"api_key": "env:OTHER"} if name == "popsell" else {})}
            text += f"[target.{name}]\n" + "".join(f'{k} = "{v.format(url=url)}"\n' for k, v in given.items())
            sends += f'[[rule.send]]\nto = "{name}"\n' + "".join(f"{part}\n" for part in send.split(", "))
        rule = '[[rule]]\nid = "order"\nwhen = "shop.order_paid"\nlimit = "per subject"\n'
        Path("bridge.toml").write_text(text + rule + sends)
        rows = cli("check", "--live", "--json").rows
    live = {row["name"]: row["live"] for row in rows if row["what"] == "target"}
    assert {name for name, faults in live.items() if not faults} == {"gameball", "voyado", "gamifyhost"}
    assert "api_key is wrong" in live["popsell"][0]


# --- init ----------------------------------------------------------------------------------------------------------


def dummy(name: str) -> str:
    """A value of the right form for a variable, and none that means anything."""
    if name == "BRIDGE_SECRET_KEY":
        return "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
    if name in ("SIGNING_SECRET", "WEBHOOK_SECRET", "STANDARD_WEBHOOK_SECRET"):
        return SECRETS["SIGNING_SECRET"]
    return "sk_test_dummy" if name == "GAMIFYHOST_API_SECRET" else "a-dummy-for-tests"


def filled(example: Path) -> None:
    """An .env as its owner would fill it in."""
    lines = [line for line in example.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    names = [line.partition("=")[0] for line in lines]
    Path(".env").write_text("".join(f"{name}={dummy(name)}\n" for name in names))


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        *(pytest.param(["shopify"], [name], id=name) for name in TARGETS),
        *(pytest.param(["twitch"], list(pair), id=" and ".join(pair)) for pair in itertools.combinations(TARGETS, 2)),
        pytest.param(list(SOURCES), list(TARGETS), id="all together"),
    ],
)
def test_what_init_writes_is_right_as_soon_as_the_variables_are_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, sources: list[str], targets: list[str]
) -> None:
    for name in (*SECRETS, "BRIDGE_SECRET_KEY", "BRIDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    args = [word for name in sources for word in ("--source", name)]
    args += [word for name in targets for word in ("--target", name)]
    assert cli("init", *args, "--public-url", "https://rewards.example.com").status == 0
    filled(Path("config/.env.example"))
    said = cli("check", "--env-file", ".env", "--json")
    assert said.status == 0, said.out + said.err
    told: dict[str, list[Any]] = {}
    for row in said.rows:
        told.setdefault(row["what"], []).append(row)
    assert "fault" not in told
    assert {row["name"] for row in told["target"]} == set(targets)
    assert {row["name"] for row in told["source"]} == set(sources)
    assert "warning" not in told, told["warning"]
    for name in targets:
        assert any(name in row["text"] for row in told["rule"])
