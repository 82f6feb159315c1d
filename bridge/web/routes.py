"""Every URL of the product, in one list."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.app import Bridge

from .health import healthz, metrics, readyz
from .webhooks import Webhooks


def build(bridge: Bridge) -> Starlette:
    """The web application of one bridge."""
    app = Starlette(
        routes=[
            Route("/webhooks/{source}", Webhooks(bridge)),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: problem, Exception: broken},
    )
    app.state.bridge = bridge
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
