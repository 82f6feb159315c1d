"""Mastodon: whether somebody follows the brand's account, whichever server they are at.

Mastodon is many: a customer names their server, and we register with it. Anybody can run one, and have it say what they
like. So what is believed is the brand's own server, asked with the brand's token, and otherwise only servers that the
merchant has named.
https://docs.joinmastodon.org/methods/apps/
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from bridge.kit import (
    Account,
    Action,
    Brand,
    Check,
    Fact,
    Here,
    Home,
    HomeUnknown,
    OAuth,
    Request,
    Server,
    Setting,
    Settings,
    Source,
    Talk,
    Unavailable,
)

from ._mastodon import HOST, NAME, ask_brand, ask_customer, base_of, brand_of, profile, recheck_follow, whoami

#: All that may ever be asked for: what was not registered cannot be asked for later.
SCOPES = ("profile", "read:follows", "read:search")


def read_home(typed: str) -> str:
    """`mastodon.social`, `@ann@mastodon.social` or an address there -> the server's name."""
    given = typed.strip()[:300]
    try:
        host = (urlsplit(given).hostname or "") if "://" in given else given.partition("/")[0].rpartition("@")[2]
        host = host.rstrip(".").encode("idna").decode().lower()
    except ValueError:  # half an address, or a name that cannot be one
        host = ""
    if len(host) > 253 or not re.fullmatch(HOST, host):
        raise HomeUnknown("This is no Mastodon server: write it like mastodon.social, or your whole handle.")
    return host


def discover(home: str, here: Here, settings: Settings) -> Talk[Server]:
    """Whether it is a Mastodon that we can ask.

    https://docs.joinmastodon.org/methods/oauth/#authorization-server-metadata : since version 4.3. Where its doors
    are is fixed, and not read there: a server that could name another's would be sent the codes of that one.
    """
    base = base_of(home, settings)
    response = yield Request("GET", f"{base}/.well-known/oauth-authorization-server")
    if response.status == 429 or response.status >= 500:
        raise Unavailable(f"{home} answered {response.status} when it was asked what it is")
    scopes = response.object().get("scopes_supported")
    if response.status != 200 or not isinstance(scopes, list) or "profile" not in scopes:
        raise HomeUnknown(f"{home} is no Mastodon server, or one before version 4.3.")
    return Server(
        authorize_url=f"{base}/oauth/authorize",
        token_url=f"{base}/oauth/token",
        revoke_url=f"{base}/oauth/revoke",
        home=home,
    )


def register(server: Server, here: Here, settings: Settings) -> Talk[Server]:
    """https://docs.joinmastodon.org/methods/apps/#create : anybody may, without a person's consent."""
    form = {
        "client_name": here.name,
        "redirect_uris": here.redirect_uri,
        "scopes": " ".join(SCOPES),
        "website": here.site,
    }
    response = yield Request("POST", f"{base_of(server.home, settings)}/api/v1/apps", form=form)
    match response.object():
        case {"client_id": str(id_), "client_secret": str(secret)} if response.is_success and id_ and secret:
            return replace(server, client_id=id_, client_secret=secret)
    raise Unavailable(f"{server.home} answered {response.status} when we wanted to register")


def page(settings: Settings, account: Account | None) -> str:
    name, _, home = brand_of(settings).rpartition("@")
    return profile(name, home) if name and home else ""


def handle_fault(given: str) -> str:
    right = re.fullmatch(f"@?{NAME}@{HOST}", given.lower())
    return "" if right else "is the whole handle: cool_brand@mastodon.social"


def brand_fault(account: Account, settings: Settings) -> str:
    wanted = brand_of(settings)
    return "" if account.id == wanted else f"this is {account.handle}, and handle is {wanted or 'not set'}"


OAUTH = OAuth(
    needs=(),  # it registers itself
    scopes=("profile",),
    again_params={"force_login": "true"},
    revokes=("access",),  # there is no other: tokens do not end
    home=Home(kind="server", read=read_home),
    discover=discover,
    register=register,
)

source = Source(
    name="mastodon",
    title="Mastodon",
    docs="https://docs.joinmastodon.org/methods/oauth/",
    actions={
        "follow": Action("Follows your account", (Fact("handle", "string", "the account, as @name@server"),)),
    },
    settings=(
        Setting("handle", "the brand's own", required=True, example="cool_brand@mastodon.social", fault=handle_fault),
        Setting("brand_token", "of the brand's account, with read:follows and read:search", "secret"),
        Setting("servers", "whose word counts without brand_token, with blanks between", example="mastodon.social"),
        Setting("api_url", "one address in place of every server's, for trying out", "url"),
    ),
    rechecks={"follow": recheck_follow},
    recheck_needs=("brand_token",),
    oauth=OAUTH,
    whoami=whoami,
    checks={
        "follow": Check(
            ask=ask_customer,
            scopes=("read:follows", "read:search"),
            brand=ask_brand,
            brand_needs=("brand_token", "handle"),
            page=page,
        )
    },
    brand=Brand(setting="brand_token", scopes=("read:follows", "read:search"), fault=brand_fault),
    steps=(
        "Signed in as the brand make an application under Preferences, Development: read:follows and read:search",
        "Put its access token into brand_token: without it only the servers you name are believed",
        "Nothing is registered for customers: at each server that is done when the first of them comes",
    ),
    room="social",
)
