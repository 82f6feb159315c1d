"""Message codes: an account proved by what it writes to the brand, where no sign-in can prove it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from .checks import Account
from .fields import Settings
from .http import Talk
from .types import Delivery

DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What an account wrote to the brand, in a delivery that the platform has signed."""

    account: str
    text: str  # what was written, or the payload of the link that was followed
    at: datetime | None = None  # when, by the platform's word
    handle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """How a platform carries a code from a customer to the brand, and the brand's answer back."""

    messages: Callable[[Delivery, Settings], Iterable[Message]]  # no echoes of ours, no edits, nobody forwarded
    address: Callable[[str, Settings], str]  # a link that opens the chat, with the code in it where it can be
    whoami: Callable[[str, Settings], Talk[Account]]  # who wrote; many platforms tell only now
    say: Callable[[str, str, Settings], Talk[None]] | None = None  # account, text: answers in the chat
    carries: bool = False  # the link brings the code by itself; else the page asks to send it


def code_of(message: Message) -> str | None:
    """The one code in a message, in ASCII digits whatever script it was typed in. None, or two: None.

    Phones and people put spaces and dashes into numbers, and words around them.
    """
    text = "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in message.text[:1000])
    joined = re.sub(r"(?<=[0-9])[ \u00a0\u202f-](?=[0-9])", "", text)
    for written in (text, joined):
        found = {one for one in re.findall(r"[0-9]+", written) if len(one) == DIGITS}
        if found:
            return found.pop() if len(found) == 1 else None
    return None
