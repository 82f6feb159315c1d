"""Patreon asked: who has signed in, what they are to the campaign, and whether they still are.

Of a membership nothing comes that is not asked for by name. https://docs.patreon.com/#apiv2-oauth
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Check,
    Evidence,
    OAuth,
    Question,
    Request,
    Response,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import maybe, when

from ._names import shown

API = "https://www.patreon.com/api/oauth2/v2"
REVOKE = "https://www.patreon.com/oauth2/revoke"
FIELDS = ",".join(
    ("full_name", "patron_status", "pledge_relationship_start", "last_charge_status", "last_charge_date",
     "currently_entitled_amount_cents", "is_free_trial", "is_gifted")
)  # fmt: skip
#: How many pages of members are read to find one of them, and how many stand on each.
PAGES, ROWS = 40, 500
#: What a charge has become that was paid, and is so no more. https://docs.patreon.com/#member : last_charge_status
TAKEN_BACK = ("Refunded", "Refunded by Patreon", "Fraud")

Member: TypeAlias = Mapping[str, Any]
Verb: TypeAlias = Literal["member", "paid"]


def key(campaign: str, account: str) -> str:
    """What names a fact between a campaign and an account, however we learn of it. It may never change."""
    return f"{campaign}:{account}"


def call(path: str, token: str, settings: Settings, **query: str) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}"
    return Request("GET", url, params=query, headers={"Authorization": f"Bearer {token}"})


# --- what a membership says -----------------------------------------------------------------------------------------


def told(verb: Verb, member: Member, campaign: str, account: str, *, over: bool = False) -> Evidence:
    """The fact in a membership. `over`: it no longer holds, of which Patreon does not say since when."""
    said = attributes(member)
    facts: dict[str, Any] = {"name": shown(said.get("full_name")), "tiers": tiers(member)}
    if verb == "member":
        facts["paying"] = paying(member)
    else:
        cents = said.get("currently_entitled_amount_cents")
        facts["cents"] = float(cents) if isinstance(cents, int) and not isinstance(cents, bool) else 0.0
    return Evidence(
        action=verb,
        key=key(campaign, account),
        account=account,
        subject=campaign,
        occurred_at=None if over else at(said, "pledge_relationship_start" if verb == "member" else "last_charge_date"),
        facts=facts,
        undone=over,
    )


def judged(verb: Verb, member: Member, campaign: str, account: str) -> Answer:
    """https://docs.patreon.com/#member : patron_status is null for whoever has never pledged, free members included."""
    said = attributes(member)
    status, charge = said.get("patron_status"), said.get("last_charge_status")
    if "patron_status" not in said or status not in (None, "active_patron", "declined_patron", "former_patron"):
        return Answer("unknown", "Patreon does not say readably what they are to the campaign")
    if verb == "member":
        if status == "former_patron":
            return Answer("unknown", "has paid once; whether they stay as a free member Patreon does not tell")
        return Answer("verified", evidence=told(verb, member, campaign, account))
    if paying(member):
        return Answer("verified", evidence=told(verb, member, campaign, account))
    if status != "active_patron":
        return Answer("not_found", "pays nothing, or no more")
    if said.get("is_gifted") is True or said.get("is_free_trial") is True:
        return Answer("not_found", "the membership is a gift, or is being tried out")
    if charge in (None, "Pending"):
        return Answer("pending", "has not been charged yet")
    if charge in ("Declined", "Deleted", *TAKEN_BACK):
        return Answer("not_found", f"the last charge was not paid: {charge}")
    return Answer("unknown", "Patreon does not say readably what became of the last charge")


def paying(member: Member) -> bool:
    said = attributes(member)
    free = said.get("is_gifted") is True or said.get("is_free_trial") is True
    return said.get("patron_status") == "active_patron" and said.get("last_charge_status") == "Paid" and not free


def attributes(member: Mapping[Any, Any]) -> Mapping[str, Any]:
    said = member.get("attributes")
    return said if isinstance(said, dict) else {}


def named(given: Any) -> str:
    """An id, which some write as a number; '' where it is none."""
    return str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""


def related(of: Mapping[str, Any], name: str) -> str:
    """The id of the one thing under this name; '' where none is named."""
    match of.get("relationships"):
        case {**relations}:
            match relations.get(name):
                case {"data": {"id": found}}:
                    return named(found)
    return ""


def tiers(member: Member) -> str:
    match member.get("relationships"):
        case {"currently_entitled_tiers": {"data": list(rows)}}:
            return ",".join(sorted(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row))[:500]
    return ""


def at(said: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return when(said, name) if maybe(said, name) else None
    except Unreadable:
        return None  # that it is so does not depend on since when


# --- asked ----------------------------------------------------------------------------------------------------------


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://docs.patreon.com/#get-api-oauth2-v2-identity : scope identity."""
    response = yield call("/identity", tokens.access, settings, **{"fields[user]": "full_name,created"})
    match response.object():
        case {"data": {"type": "user", "id": account, **rest}} if response.status == 200 and named(account):
            said = attributes(rest)
            return Account(id=named(account), handle=shown(said.get("full_name")), created_at=at(said, "created"))
    raise Unavailable(f"Patreon answered {response.status} when it was asked who signed in")


def ask(verb: Verb) -> Callable[[Ask], Talk[Answer]]:
    def asked(question: Ask) -> Talk[Answer]:
        """With the customer's token, scope identity: that shows their membership of the application's own campaign.

        https://docs.patreon.com/#get-api-oauth2-v2-identity
        """
        campaign = question.subject or str(question.settings.get("campaign_id") or "")
        if not campaign:
            return Answer("unknown", "campaign_id is missing in the source's table", obstacle="brand")
        if question.tokens is None:
            return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
        query = {"include": "memberships.campaign,memberships.currently_entitled_tiers", "fields[member]": FIELDS}
        response = yield call("/identity", question.tokens.access, question.settings, **query)
        found = response.object()
        match found:
            case {"data": {"type": "user", "id": account, "relationships": {"memberships": {
                "data": list(memberships)}}}} if response.status == 200:  # fmt: skip
                if named(account) != question.account.id:
                    return Answer("unknown", "Patreon answered about another account")
                if not memberships:
                    return Answer("not_found", "is no member of the campaign")
                for row in rows(found, "included"):
                    if row.get("type") == "member" and related(row, "campaign") == campaign:
                        return judged(verb, row, campaign, question.account.id)
                said = "is a member elsewhere: does the application belong to the campaign of campaign_id?"
                return Answer("unknown", said, obstacle="brand")
        return unanswered(response, whose="customer")

    return asked


def recheck(verb: Verb) -> Callable[[Question, Settings], Talk[Answer]]:
    def asked(question: Question, settings: Settings) -> Talk[Answer]:
        """With the creator's token, scope campaigns.members: the list of members, which cannot be asked for one.

        https://docs.patreon.com/#get-api-oauth2-v2-campaigns-campaign_id-members
        """
        token, cursor = str(settings.get("creator_token") or ""), ""
        path = f"/campaigns/{quote(question.subject, safe='')}/members"
        query = {"include": "user,currently_entitled_tiers", "fields[member]": FIELDS, "page[count]": str(ROWS)}
        for _ in range(PAGES):
            response = yield call(path, token, settings, **query, **({"page[cursor]": cursor} if cursor else {}))
            if response.status == 404 and rows(response.object(), "errors"):
                return Answer("unknown", "the token's campaign is another one", obstacle="brand")
            following = after(response)
            if following is None:
                return unanswered(response, whose="brand")
            for row in rows(response.object(), "data"):
                if row.get("type") == "member" and related(row, "user") == question.account:
                    return judged(verb, row, question.subject, question.account)
            if not following:
                return Answer("not_found", "is not among the members")
            cursor = following
        return Answer("unknown", f"is not among the first {PAGES * ROWS} members, and there are more")

    return asked


def after(response: Response) -> str | None:
    """Where the list goes on; '': it ends here; None: it is no such list. https://docs.patreon.com/#pagination-and-sorting"""
    match response.object():
        case {"data": list(), "meta": {"pagination": dict(pagination)}} if response.status == 200:
            match pagination.get("cursors"):
                case {"next": str(cursor)}:
                    return cursor
                case None | {"next": None}:
                    return ""
    return None


def rows(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = body.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("vanity")
    return f"https://www.patreon.com/{quote(str(name), safe='')}" if name else ""


OAUTH = OAuth(
    authorize_url="https://www.patreon.com/oauth2/authorize",
    token_url="https://www.patreon.com/api/oauth2/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=("identity",),
    pkce=False,  # not documented
)
CHECKS = {
    "member": Check(ask=ask("member"), scopes=("identity",), page=page),
    "paid": Check(ask=ask("paid"), scopes=("identity",), page=page),
}
RECHECKS = {"member": recheck("member"), "paid": recheck("paid")}
