"""Somebody with a browser: follows redirects, keeps cookies, reads forms and presses their buttons. No script runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2


@dataclass
class Form:
    """A form of a page. `buttons`: names and values by what is written on them."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    unticked: list[tuple[str, str]] = field(default_factory=list)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


class Reader(HTMLParser):
    """Finds the forms of a page, and what people can read of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text: list[str] = []
        self._button: tuple[str, str] | None = None
        self._link = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attrs}
        name, value = got.get("name", ""), got.get("value", "")
        form = self.forms[-1] if self.forms else Form("", "get")
        match tag, got.get("type", ""):
            case "form", _:
                self.forms.append(Form(got.get("action", ""), got.get("method", "get").lower()))
            case "input", "checkbox" | "radio":
                (form.fields if "checked" in got else form.unticked).append((name, value))
            case "input", "submit":
                form.buttons[value] = (name, value)
            case "input", _ if name:
                form.fields.append((name, value))
            case "button", _:
                self._button = (name, value)
            case "a", _:
                self._link = got.get("href", "")

    def handle_data(self, data: str) -> None:
        if not (words := " ".join(data.split())):
            return
        self.text.append(words)
        if self._button is not None and self.forms:
            self.forms[-1].buttons[words] = self._button
        if self._link:
            self.links[words] = self._link

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            self._button = None
        if tag == "a":
            self._link = ""


class Browser:
    """One person's browser. `home`: addresses that belong to the bridge, where it stops."""

    def __init__(self, client: httpx2.AsyncClient, home: str) -> None:
        self.client, self.home = client, home
        self.url, self.status, self.page = "", 0, Reader("")

    async def open(self, url: str) -> str:
        """Where it ends up; at home with nothing asked there."""
        return await self._go("GET", url)

    async def press(self, button: str, *, untick: tuple[str, ...] = (), **typed: str) -> str:
        """Press a button by what is written on it, with other things typed or unticked before."""
        form = next((one for one in self.page.forms if button in one.buttons), None)
        assert form is not None, f"no button says {button} at {self.url} ({self.status}): {self.text[:500]}"
        return await self.send(form, dict([form.buttons[button]]), untick=untick, **typed)

    async def send(self, form: Form, more: Mapping[str, str], *, untick: tuple[str, ...] = (), **typed: str) -> str:
        fields = [(name, typed.pop(name, value)) for name, value in form.fields if value not in untick]
        pairs = [*fields, *typed.items(), *((name, value) for name, value in more.items() if name)]
        data: dict[str, list[str]] = {}
        for name, value in pairs:
            data.setdefault(name, []).append(value)
        return await self._go(form.method.upper(), urljoin(self.url, form.action), data)

    @property
    def text(self) -> str:
        return " ".join(self.page.text)

    async def _go(self, method: str, url: str, data: Mapping[str, list[str]] | None = None) -> str:
        for _ in range(20):
            if url.startswith(self.home):
                self.url = url
                return url
            answer = await self.client.request(method, url, data=data, follow_redirects=False)
            if answer.status_code not in (301, 302, 303, 307, 308):
                self.url, self.status, self.page = url, answer.status_code, Reader(answer.text)
                return url
            url = urljoin(url, answer.headers["location"])
            if answer.status_code < 304:
                method, data = "GET", None
        raise AssertionError(f"goes round in circles at {urlsplit(url).netloc}")
