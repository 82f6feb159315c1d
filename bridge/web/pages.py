"""How a customers' page is shown: as JSON, to whoever asks for it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import views


def render(page: views.Page, request: Request) -> Response:
    """The answer to a request that ends with this page."""
    return JSONResponse(views.told(page), status_code=page.status)
