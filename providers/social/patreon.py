"""Patreon: who becomes a member of the campaign and who pays, told by webhook; can be asked about too.

Patreon signs the body with HMAC-MD5. The header that names the event is not signed: it may take a fact back, and never
make one. There is no time and no id in a delivery, so the fact's key is what protects.
https://docs.patreon.com/#webhooks
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from bridge.kit import (
    Action,
    Brand,
    Delivery,
    Evidence,
    Fact,
    Hmac,
    Ignored,
    Misconfigured,
    Prepared,
    Request,
    Response,
    Sample,
    Setting,
    Settings,
    SetUp,
    Source,
    Talk,
    Unavailable,
    Unreadable,
)
from bridge.kit.reading import table, text

from ._patreon import (
    API,
    CHECKS,
    OAUTH,
    RECHECKS,
    REVOKE,
    TAKEN_BACK,
    Member,
    attributes,
    call,
    paying,
    related,
    rows,
    told,
    whoami,
)

EVENT = "x-patreon-event"
#: What must be told: `members:update` tells who stops paying. https://docs.patreon.com/#triggers-v2
TRIGGERS = ("members:create", "members:update", "members:delete", "members:pledge:create", "members:pledge:update",
            "members:pledge:delete")  # fmt: skip


def read(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence]:
    member = table(delivery.json(), "data")
    if text(member, "type") != "member":
        return Ignored(reason=f"a {text(member, 'type')[:40]} earns nothing here")
    campaign, account, only = related(member, "campaign"), related(member, "user"), settings.get("campaign_id")
    if not campaign or not account:
        raise Unreadable("the member names no user or no campaign")
    if only and campaign != str(only):
        return Ignored(reason=f"a member of campaign {campaign}; campaign_id is {only}")
    found = list(changes(member, campaign, account, delivery.headers.get(EVENT, "")))
    return found or Ignored(reason=f"{account} has paid once, or is about to; nothing follows from that yet")


def changes(member: Member, campaign: str, account: str, event: str) -> Iterator[Evidence]:
    said = attributes(member)
    status = said.get("patron_status")
    gone = event == "members:delete"
    if gone or ("patron_status" in said and status in (None, "active_patron", "declined_patron")):
        yield told("member", member, campaign, account, over=gone)
    if gone or event == "members:pledge:delete" or status == "former_patron" or charged_back(said):
        yield told("paid", member, campaign, account, over=True)
    elif paying(member):
        yield told("paid", member, campaign, account)


def charged_back(said: Mapping[str, Any]) -> bool:
    return said.get("last_charge_status") in TAKEN_BACK


def set_up(wanted: SetUp) -> Talk[Prepared]:
    """Looks whether the webhook stands and runs. Its secret is made by Patreon, so a person must make the webhook.

    https://docs.patreon.com/#get-api-oauth2-v2-webhooks
    """
    settings, did, left = wanted.settings, list[str](), list[str]()
    token = str(settings.get("creator_token") or "")
    if not token:
        return Prepared(left=["Copy the Creator's Access Token of your client into creator_token"])
    response = yield call("/campaigns", token, settings)
    own = [text(row, "id") for row in listed(response, "its campaigns")]
    if str(settings.get("campaign_id") or "") not in own:
        left.append(f"Put the campaign's id into campaign_id; the token's own are {', '.join(own) or 'none'}")
    fields = "triggers,uri,paused,num_consecutive_times_failed"
    response = yield call("/webhooks", token, settings, **{"fields[webhook]": fields})
    ours = [row for row in listed(response, "its webhooks") if attributes(row).get("uri") == wanted.url]
    if not ours:
        left.append(
            f"Make a webhook to {wanted.url} at https://www.patreon.com/portal/registration/register-webhooks with "
            f"{', '.join(TRIGGERS)}, and put the secret that Patreon shows into webhook_secret"
        )
    for row in ours:
        said = attributes(row)
        heard = said.get("triggers")
        missing = [one for one in TRIGGERS if not isinstance(heard, list) or one not in heard]
        if missing:
            left.append(f"Add to the webhook: {', '.join(missing)}")
        if said.get("paused") is True and wanted.dry_run:
            did.append("would be set: the webhook, which Patreon has paused, runs again")
        elif said.get("paused") is True:
            path = call(f"/webhooks/{text(row, 'id')}", token, settings)
            data = {"type": "webhook", "id": text(row, "id"), "attributes": {"paused": False}}
            response = yield Request("PATCH", path.url, headers=path.headers, json={"data": data})
            if response.status != 200:
                raise Unavailable(f"Patreon answered {response.status} when the webhook was to run again")
            did.append("The webhook, which Patreon had paused, runs again, and sends what it has kept")
        else:
            did.append(f"Patreon tells {wanted.url}")
    return Prepared(did=did, left=left)


def listed(response: Response, what: str) -> list[Mapping[str, Any]]:
    if response.status != 200:
        kind = Misconfigured if response.status in (401, 403) else Unavailable
        raise kind(f"Patreon answered {response.status} when it was asked for {what}")
    return [row for row in rows(response.object(), "data") if isinstance(row.get("id"), str) and row["id"].isalnum()]


def sample(title: str, event: str, **said: Any) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        member = {
            "type": "member",
            "id": str(values["id"]),
            "attributes": {"full_name": str(values["name"]), "pledge_relationship_start": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                           **said, **({"last_charge_date": f"{now:%Y-%m-%dT%H:%M:%SZ}"} if said["patron_status"]
                                      else {})},
            "relationships": {
                "campaign": {"data": {"type": "campaign", "id": str(values["campaign"])}},
                "user": {"data": {"type": "user", "id": str(values["user_id"])}},
                "currently_entitled_tiers": {"data": []},
            },
        }  # fmt: skip
        return {EVENT: event}, {"data": member}

    known = {"id": "d485d5ac-6c82-42c6-9c08-c50cf01b73d7", "user_id": "987654321", "name": "Ann", "campaign": "123456"}
    return Sample(title, known, make)


NAME = Fact("name", "string", "what the member calls themselves")
TIERS = Fact("tiers", "string", "ids of the tiers they are entitled to, with commas between them")

source = Source(
    name="patreon",
    title="Patreon",
    docs="https://docs.patreon.com/#webhooks",
    actions={
        "member": Action(
            "Becomes a member of your campaign, free or paid",
            (NAME, TIERS, Fact("paying", "bool", "whether they pay for it")),
        ),
        "paid": Action(
            "Pays for a membership of your campaign",
            (
                NAME,
                TIERS,
                Fact("cents", "double", "what they pay in a month, in hundredths of the campaign's currency"),
            ),
        ),
    },
    settings=(
        Setting("webhook_secret", "as Patreon shows it beside the webhook", "secrets", True),
        Setting("campaign_id", "the only campaign that counts, by its id", example="123456"),
        Setting("client_id", "of the client in the Patreon portal, made by the campaign's own account"),
        Setting("client_secret", "of the client", "secret"),
        Setting("creator_token", "with campaigns.members; asks whether members still are", "secret"),
        Setting("vanity", "the campaign's name in its address, for the button", example="cool_brand"),
        Setting("api_url", "where Patreon's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    scheme=Hmac(header="x-patreon-signature", digest="md5"),
    read=read,
    rechecks=RECHECKS,
    recheck_needs=("creator_token",),
    oauth=OAUTH,
    whoami=whoami,
    checks=CHECKS,
    brand=Brand(setting="creator_token", scopes=("campaigns", "campaigns.members", "w:campaigns.webhook")),
    setup=set_up,
    samples={
        "member": sample("Somebody joins for free", "members:create", patron_status=None, last_charge_status=None),
        "paid": sample(
            "Somebody pays",
            "members:pledge:create",
            patron_status="active_patron",
            last_charge_status="Paid",
            currently_entitled_amount_cents=500,
        ),
    },
    steps=(
        "Make a client at https://www.patreon.com/portal/registration/register-clients, API version 2, with the "
        "redirect https://<your bridge>/connect/patreon/callback",
        "Copy its Creator's Access Token into creator_token: it can be asked who still is a member",
        "Make a webhook to {url} at https://www.patreon.com/portal/registration/register-webhooks with all triggers of "
        "members, and copy its secret",
    ),
    room="social",
)
