"""Every provider we ship, in the order the console lists them. This file is the only registry.

A provider from another package is named in bridge.toml, `plugins = ["acme.shopline"]`: its module holds a
`source`, a `target` or both, as the files here do.
"""

from __future__ import annotations

from bridge.kit import Source, Target

from .loyalty import gameball, gamifyhost, popsell, voyado, webhook
from .social import (
    bluesky,
    discord,
    instagram,
    line,
    mastodon,
    messenger,
    oidc,
    patreon,
    reddit,
    telegram,
    tiktok,
    twitch,
    x,
    youtube,
)
from .storefronts import generic, shopify, standard

SOURCES: dict[str, Source] = {
    provider.source.name: provider.source
    for provider in (
        twitch,
        youtube,
        x,
        discord,
        telegram,
        reddit,
        line,
        patreon,
        tiktok,
        mastodon,
        bluesky,
        instagram,
        messenger,
        oidc,
        shopify,
        standard,
        generic,
    )
}

TARGETS: dict[str, Target] = {
    provider.target.name: provider.target
    for provider in (
        gameball,
        voyado,
        popsell,
        gamifyhost,
        webhook,
    )
}

__all__ = ["SOURCES", "TARGETS"]
