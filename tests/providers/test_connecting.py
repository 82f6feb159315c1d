"""Every source that customers connect to keeps to the same contract."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from providers import SOURCES

CONNECTED = [name for name, source in SOURCES.items() if source.checks]
CHECKS = [(name, action) for name in CONNECTED for action in SOURCES[name].checks]


@pytest.mark.parametrize("name", CONNECTED)
def test_there_is_a_way_in(name: str) -> None:
    source = SOURCES[name]
    declared = {setting.name for setting in source.settings}
    assert source.oauth or source.login or source.codes
    if source.oauth:
        assert source.whoami, "nobody is asked who signed in"
        assert set(source.oauth.needs) <= declared
        for url in (source.oauth.authorize_url, source.oauth.token_url):
            assert urlsplit(url).scheme == "https" or source.oauth.discover
        assert not set(source.oauth.keep_scopes) & set(source.oauth.scopes)
        if source.oauth.id_token:
            assert "openid" in source.oauth.scopes
            assert source.oauth.issuer or source.oauth.discover
    if source.login:
        assert set(source.login.needs) <= declared
    if source.brand:
        assert source.brand.setting in declared
        assert source.brand.scopes


@pytest.mark.parametrize(("name", "action"), CHECKS)
def test_a_check_can_be_asked(name: str, action: str) -> None:
    source = SOURCES[name]
    check, declared = source.checks[action], {setting.name for setting in source.settings}
    assert action in source.actions
    assert check.ask or check.brand
    assert set(check.brand_needs) <= declared
    assert check.ask or not check.scopes
    everything = {one.name: "https://place.example" if one.kind == "url" else "1337" for one in source.settings}
    way = check.way(everything)
    assert way is not None
    assert check.page is None or urlsplit(check.page(everything, None) or "https://x").scheme == "https"


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.ticket])
def test_only_a_shop_vouches_for_customers(name: str) -> None:
    assert SOURCES[name].knows_customers
