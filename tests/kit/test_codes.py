"""Six digits as people type them."""

from __future__ import annotations

import pytest

from bridge.kit import Message, code_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("123456", "123456"),
        (" 123 456 ", "123456"),
        ("123-456", "123456"),
        ("12 34 56", "123456"),
        ("My code is 123456!", "123456"),
        ("/start 123456", "123456"),
        ("012345", "012345"),
        ("123456 123456", "123456"),
        ("123456, sent at 9", "123456"),
        ("١٢٣٤٥٦", "123456"),
        ("۱۲۳ ۴۵۶", "123456"),
        ("１２３４５６", "123456"),
        ("१२३४५६", "123456"),
        ("", None),
        ("12345", None),
        ("1234567", None),
        ("123456 or 654321", None),
        ("123 456 789", None),
        ("¹²³⁴⁵⁶", None),
        ("hello", None),
        ("x" * 1000 + "123456", None),
    ],
)
def test_the_one_code_in_a_message(text: str, code: str | None) -> None:
    assert code_of(Message(account="7", text=text)) == code
