"""Sources that bridge.toml describes: a table either proves who sends, or is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.kit import Ed25519, ExpressionError, Hmac, Rsa, Source
from providers.storefronts import generic, standard

EVIDENCE = [{"action": "review", "key": "body.id", "account": "string(body.account)"}]
GOOD: dict[str, Any] = {
    "webhook_secret": ("a fixed key for tests",),
    "signature": {"header": "X-Signature"},
    "evidence": EVIDENCE,
}


def configured(**changes: Any) -> Source:
    return generic.configure(generic.source, {**GOOD, **changes})


def test_the_plainest_table_is_hex_over_the_body() -> None:
    made = configured()
    assert made.scheme == Hmac(header="x-signature")
    assert made.delivery_id == ()
    assert not made.delivery_id_signed
    assert set(made.actions) == {"review"}


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"header": "X-S", "algorithm": "hmac", "digest": "sha512", "key": "base64"}, Hmac),
        ({"header": "X-S", "algorithm": "ed25519"}, Ed25519),
        ({"header": "X-S", "algorithm": "rsa", "digest": "sha512"}, Rsa),
    ],
)
def test_each_algorithm_has_its_options(table: dict[str, str], kind: type) -> None:
    assert isinstance(generic.signature(table), kind)


def test_the_id_counts_as_signed_only_where_the_template_covers_it() -> None:
    assert not configured(delivery_id="X-Event-Id").delivery_id_signed
    covered = configured(delivery_id="X-Event-Id", signature={"header": "X-Signature", "signed": "{X-Event-Id}.{body}"})
    assert covered.delivery_id_signed
    assert covered.delivery_id == ("x-event-id",)


def test_a_shop_of_ones_own_may_know_its_customers() -> None:
    assert not configured().knows_customers
    assert configured(knows_customers=True).knows_customers


def test_media_types_are_listed_with_commas() -> None:
    assert configured().media_types == ("application/json",)
    made = configured(media_types="application/json, Application/cloudevents+json")
    assert made.media_types == ("application/json", "application/cloudevents+json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"signature": None}, "signature is missing", id="no signature at all"),
        pytest.param({"signature": {}}, "signature is missing", id="an empty signature"),
        pytest.param({"signature": "none"}, "signature is missing", id="a signature that is a word"),
        pytest.param({"signature": {"prefix": "sha256="}}, "signature is missing", id="no header"),
        pytest.param({"signature": {"header": 5}}, "a text is needed", id="a header that is a number"),
        pytest.param({"signature": {"header": "x", "algorithm": "none"}}, "known are hmac", id="no algorithm"),
        pytest.param(
            {"signature": {"header": "x", "algorithm": ["hmac"]}}, "known are hmac", id="a list of algorithms"
        ),
        pytest.param({"signature": {"header": "x", "digest": "md5"}}, "known are sha256", id="a broken digest"),
        pytest.param({"signature": {"header": "x", "encoding": "rot13"}}, "known are hex", id="an unknown encoding"),
        pytest.param({"signature": {"header": "x", "key": "hexadecimal"}}, "known are text", id="an unknown key form"),
        pytest.param({"signature": {"header": "x", "prefx": "v1="}}, "did you mean prefix?", id="a misspelt key"),
        pytest.param(
            {"signature": {"header": "x", "algorithm": "ed25519", "digest": "sha256"}},
            *("signature.digest is unknown",),
            id="a digest where there is none to choose",
        ),
        pytest.param({"signature": {"header": "x", "signed": "{x-id}"}}, "{body}", id="a template without the body"),
        pytest.param({"signature": {"header": "x", "signed": "{body"}}, "signature:", id="a brace that does not close"),
        pytest.param({"signature": {"header": "x", "signed": "{body!r}"}}, "between braces", id="a conversion"),
        pytest.param({"signature": {"header": "x", "sent_at": "x-at"}}, "not signed", id="a time that is not signed"),
        pytest.param({"signature": {"header": "x", "pairs": ","}}, "go together", id="pairs without a field"),
        pytest.param({"signature": {"header": "x", "tolerance": "soon"}}, "24 hours", id="a tolerance that is none"),
        pytest.param(
            {"signature": {"header": "x", "tolerance": "5 minutes"}}, "needs sent_at", id="a tolerance without a time"
        ),
        pytest.param({"signature": {"header": "x", "tolerance": 300}}, "a text is needed", id="a tolerance in seconds"),
        pytest.param({"webhook_secret": ()}, "nothing can be verified", id="no key"),
        pytest.param({"webhook_secret": ("",)}, "has 0 bytes", id="an empty key"),
        pytest.param({"webhook_secret": ("long enough", "short")}, "webhook_secret 2: has 5", id="a key to be guessed"),
        pytest.param(
            {"signature": {"header": "x", "key": "hex"}}, "webhook_secret 1: is not hex", id="a key that is not hex"
        ),
        pytest.param(
            {"signature": {"header": "x", "algorithm": "ed25519"}}, "is not hex", id="a text for an Ed25519 key"
        ),
        pytest.param(
            {"signature": {"header": "x", "algorithm": "rsa"}}, "not an RSA public key", id="a text for an RSA key"
        ),
        pytest.param({"media_types": "json"}, "media_types holds 'json'", id="a media type that is none"),
        pytest.param({"evidence": [{"action": "review"}]}, "evidence 1: key is missing", id="evidence without a key"),
        pytest.param(
            {"evidence": [{**EVIDENCE[0], "when": "headers['x-topic'] == 'review'"}]},
            *("x-topic is not signed",),
            id="a header that anybody could write",
        ),
    ],
)
def test_a_table_that_proves_nothing_is_refused_in_words(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ExpressionError) as fault:
        configured(**changes)
    assert said in fault.value.message


def test_the_bare_value_verifies_nothing() -> None:
    # Only its own table gives it a scheme, and without one nothing is routed to it.
    assert generic.source.scheme is None
    assert generic.source.read is None
    assert standard.source.scheme is not None
    assert standard.source.read is None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "private"),
        ("whsec_YQ==", "has 1 bytes"),
    ],
)
def test_keys_of_standard_webhooks_are_those_that_verify(key: str, said: str) -> None:
    assert said in standard.fault(key)
    assert bool(standard.fault(key)) == bool(said)


def test_the_signed_id_may_name_the_fact_and_svixs_may_not() -> None:
    table = {"action": "review", "key": "headers['webhook-id']", "account": "string(body.account)"}
    assert set(standard.configure(standard.source, {"evidence": [table]}).actions) == {"review"}
    with pytest.raises(ExpressionError, match="svix-id is not signed"):
        standard.configure(standard.source, {"evidence": [{**table, "key": "headers['svix-id']"}]})
