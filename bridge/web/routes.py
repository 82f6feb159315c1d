"""Every URL of the product, in one list."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.app import Bridge

from .browser import Patience
from .connect import ROUTES as CONNECT
from .health import healthz, metrics, readyz
from .webhooks import Webhooks


class Hall:
    """The front door: the platforms' path goes straight to its handler, everything else through Starlette."""

    def __init__(self, bridge: Bridge) -> None:
        self.app = pages(bridge)
        self.webhooks = Webhooks(bridge)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/webhooks/"):
                # Whatever follows: an address that was pasted wrong stands among the rejections, too.
                await self.webhooks(scope, receive, send, path[10:])
                return
        await self.app(scope, receive, send)


def build(bridge: Bridge) -> Hall:
    """The web application of one bridge."""
    return Hall(bridge)


def pages(bridge: Bridge) -> Starlette:
    """Everything but the webhooks."""
    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *CONNECT,
        ],
        exception_handlers={HTTPException: problem, Exception: broken},
    )
    app.state.bridge = bridge
    app.state.patience = Patience(12, 600)
    return app


async def problem(request: Request, error: Exception) -> Response:
    """RFC 9457: what is wrong, for a machine."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "Internal Server Error"
    headers = getattr(error, "headers", None)
    told = {"type": "about:blank", "title": detail, "status": status}
    return JSONResponse(told, status_code=status, headers=headers, media_type="application/problem+json")


async def broken(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has it, the stranger does not."""
    return await problem(request, HTTPException(500))
