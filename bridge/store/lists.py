"""The filtered lists behind `list`, `status` and the API: the only SQL put together, from a fixed set of clauses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.kit import NotFound

from .db import Row, Tx
from .rows import idset


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its table, the columns shown, and which filters it takes."""

    table: str
    columns: str
    filters: Mapping[str, str]  # filter -> clause over :filter
    order: str = "id"
    groups: tuple[str, ...] = ()  # what --by may name
    prefix: str = ""  # of its ids, where --since is answered by them


_CUSTOMERS = "customer IN (SELECT value ->> 'id' FROM json_each(:customer))"
_TIMES = {"since": "at >= :since", "until": "at < :until"}


def _since(made: str) -> str:
    """Of the large tables: ids sort by when a row was made, and the few that change later have an index of theirs."""
    return f"at >= :since AND (id >= :since_id OR (at <> {made} AND at >= :since))"


_PLAIN = {name: f"{name} = :{name}" for name in ("state", "source", "target", "rule")}


def _takes(*names: str) -> dict[str, str]:
    return {**{name: _PLAIN[name] for name in names}, **_TIMES, "reason": "reason LIKE :reason ESCAPE '\\'"}


LISTS: Mapping[str, Listing] = {
    "deliveries": Listing(
        "deliveries",
        "id, state, at, source, reason, copies, received_at, length(body) AS size",
        {**_takes("state", "source"), "since": _since("received_at")},
        groups=("state", "source", "reason"),
        prefix="del",
    ),
    "rejections": Listing(
        "rejections",
        "id, at, source, reason, detail, hint, method, path, headers, size, sha256",
        _takes("source"),
        groups=("source", "reason", "hint"),
    ),
    "evidence": Listing(
        "evidence",
        "id, state, at, source, action, key, undone, part, account, owner, subject, occurred_at, grade, facts, "
        "delivery, reason",
        {
            **_takes("state", "source"),
            "since": _since("received_at"),
            "customer": "owner IN (SELECT value ->> 'id' FROM json_each(:customer))",
        },
        prefix="evi",
        groups=("state", "source", "action", "reason", "grade"),
    ),
    "links": Listing(
        "links",
        "id, at, source, account, customer, how, linked_at",
        {"source": _PLAIN["source"], **_TIMES, "customer": _CUSTOMERS},
        groups=("source", "how"),
    ),
    "claims": Listing(
        "claims",
        "id, state, at, number, source, action, customer, account, handle, reason, result, obstacle, note, evidence, "
        "due_at, expires_at, created_at",
        {**_takes("state", "source"), "since": _since("created_at"), "customer": _CUSTOMERS},
        prefix="clm",
        groups=("state", "source", "action", "obstacle", "reason"),
    ),
    "forwards": Listing(
        "forwards",
        "id, state, at, kind, source, target, rule, send, bucket, customer, account, action, subject, reason, wish, "
        "attempts, tries, due_at, parked, evidence, created_at",
        {
            **_takes("state", "source", "target", "rule"),
            "since": _since("created_at"),
            "customer": "evidence IN (SELECT id FROM evidence WHERE owner IN "
            "(SELECT value ->> 'id' FROM json_each(:customer)))",
        },
        prefix="fwd",
        groups=("state", "source", "target", "rule", "reason"),
    ),
    "audit": Listing(
        "audit",
        "number, at, actor, action, object, detail",
        {**_TIMES, "reason": "detail LIKE :reason ESCAPE '\\'", "state": "action = :state"},
        order="number",
        groups=("actor", "action"),
    ),
}


def _where(listing: Listing, filters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    clauses, params = [], {}
    for name, value in filters.items():
        if value is None:
            continue
        if name not in listing.filters:
            raise NotFound(
                f"--{name} does not apply here; known are {', '.join('--' + one for one in listing.filters)}"
            )
        clauses.append(listing.filters[name])
        if name == "since" and listing.prefix:
            params["since_id"] = f"{listing.prefix}_{int(value) << 48:024x}"
        if name == "customer":
            params[name] = idset(value)
        elif name == "reason":
            escaped = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            params[name] = f"%{escaped}%"
        else:
            params[name] = value
    return " AND ".join(clauses) or "1 = 1", params


async def page(
    tx: Tx, what: str, filters: Mapping[str, Any], *, limit: int, before: str | int | None = None
) -> Sequence[Row]:
    """The newest rows of a list that pass all filters, newest first; `before` continues after a page's last."""
    listing = LISTS[what]
    where, params = _where(listing, filters)
    if before is not None:
        where += f" AND {listing.order} < :before"
        params["before"] = before
    return await tx.rows(
        f"SELECT {listing.columns} FROM {listing.table} WHERE {where} "  # noqa: S608 (a fixed set)
        f"ORDER BY {listing.order} DESC LIMIT :limit",
        **params,
        limit=limit,
    )


async def ids(tx: Tx, what: str, filters: Mapping[str, Any], *, after: str, limit: int) -> list[str]:
    """The ids of what passes all filters, oldest first, page by page: what a bulk replay walks."""
    listing = LISTS[what]
    where, params = _where(listing, filters)
    rows = await tx.rows(
        f"SELECT id FROM {listing.table} WHERE {where} AND id > :after "  # noqa: S608 (a fixed set)
        "ORDER BY id LIMIT :limit",
        **params,
        after=after,
        limit=limit,
    )
    return [str(row["id"]) for row in rows]


async def count(tx: Tx, what: str, filters: Mapping[str, Any]) -> int:
    """How many rows pass all filters."""
    listing = LISTS[what]
    where, params = _where(listing, filters)
    [row] = await tx.rows(
        f"SELECT count(*) AS count FROM {listing.table} WHERE {where}",  # noqa: S608 (a fixed set)
        **params,
    )
    return int(row["count"])


async def grouped(tx: Tx, what: str, filters: Mapping[str, Any], *, by: str) -> Sequence[Row]:
    """How many rows pass all filters, by the value of one column: value, count, newest."""
    listing = LISTS[what]
    if by not in listing.groups:
        raise NotFound(f"--by {by} does not apply here; known are {', '.join(listing.groups)}")
    where, params = _where(listing, filters)
    return await tx.rows(
        f"SELECT {by} AS value, count(*) AS count, max(at) AS newest FROM {listing.table} "  # noqa: S608
        f"WHERE {where} GROUP BY {by} ORDER BY count(*) DESC, {by} LIMIT 1000",
        **params,
    )


async def attention(tx: Tx, *, since: int) -> dict[str, Sequence[Row]]:
    """What the first command of the morning shows: failed, held and to be taken back, unjudged, unreadable, waiting."""
    return {
        "forwards": await tx.rows(
            """
            SELECT state, target, rule, reason, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
            FROM forwards WHERE state IN ('failed', 'held', 'accepted') -- the index is for these
              AND state IN ('failed', 'held') AND at >= :since
            GROUP BY state, target, rule, reason ORDER BY count(*) DESC, state
            """,
            since=since,
        ),
        "undo": await tx.rows(
            """
            SELECT target, rule, reason, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
            FROM forwards WHERE wish <> '' AND wish = 'undo' AND at >= :since
            GROUP BY target, rule, reason ORDER BY count(*) DESC
            """,
            since=since,
        ),
        "unjudged": await tx.rows(
            """
            SELECT source, action, reason, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
            FROM evidence WHERE state <> 'considered' AND state = 'unjudged' AND at >= :since
            GROUP BY source, action, reason
            """,
            since=since,
        ),
        "deliveries": await tx.rows(
            """
            SELECT source, reason, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
            FROM deliveries WHERE state = 'failed' AND at >= :since GROUP BY source, reason
            """,
            since=since,
        ),
        "waiting": await tx.rows(
            """
            SELECT source, reason, count(*) AS count, min(at) AS oldest, max(at) AS newest
            FROM evidence WHERE state <> 'considered' AND state = 'waiting' GROUP BY source, reason
            """
        ),
        "rejections": await tx.rows(
            """
            SELECT source, reason, hint, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
            FROM rejections WHERE at >= :since GROUP BY source, reason, hint ORDER BY count(*) DESC LIMIT 50
            """,
            since=since,
        ),
    }


async def undelivered(tx: Tx, *, target: str, now: int) -> Row:
    """How much of a target is due, open, parked and accepted, and since when the oldest due waits."""
    [row] = await tx.rows(
        """
        SELECT (SELECT min(due_at) FROM forwards WHERE target = :target AND due_at <= :now) AS oldest_due,
               (SELECT count(*) FROM (SELECT 1 FROM forwards WHERE target = :target AND due_at <= :now
                                      LIMIT 10000) AS d) AS due,
               (SELECT count(*) FROM (SELECT 1 FROM forwards WHERE target = :target AND due_at > :now
                                      LIMIT 10000) AS l) AS later,
               (SELECT count(*) FROM (SELECT 1 FROM forwards WHERE state IN ('failed', 'held', 'accepted')
                                      AND state = 'accepted' AND target = :target LIMIT 10000) AS a) AS accepted,
               (SELECT count(*) FROM (SELECT 1 FROM forwards WHERE state IN ('failed', 'held', 'accepted')
                                      AND state = 'held' AND target = :target LIMIT 10000) AS h) AS held,
               (SELECT count(*) FROM (SELECT 1 FROM forwards WHERE state IN ('failed', 'held', 'accepted')
                                      AND state = 'failed' AND target = :target LIMIT 10000) AS f) AS failed
        """,
        target=target,
        now=now,
    )
    return row


async def recent(tx: Tx, what: str, *, limit: int) -> Sequence[Row]:
    """The newest rows by last change: what a page that watches shows."""
    listing = LISTS[what]
    order = listing.order if what == "audit" else "at DESC, id"
    return await tx.rows(
        f"SELECT {listing.columns} FROM {listing.table} ORDER BY {order} DESC LIMIT :limit",  # noqa: S608
        limit=limit,
    )


async def one(tx: Tx, what: str, *, id: str) -> Row | None:
    """One row of a list by its id."""
    listing = LISTS[what]
    rows = await tx.rows(f"SELECT {listing.columns} FROM {listing.table} WHERE id = :id", id=id)  # noqa: S608
    return next(iter(rows), None)


async def starting(tx: Tx, what: str, *, prefix: str, limit: int = 3) -> list[str]:
    """Ids of a list that begin like this."""
    rows = await tx.rows(
        f"SELECT id FROM {LISTS[what].table} WHERE id >= :prefix AND id < :end ORDER BY id LIMIT :limit",  # noqa: S608
        prefix=prefix,
        end=prefix + "\x7f",  # ids are ASCII
        limit=limit,
    )
    return [str(row["id"]) for row in rows]


async def changed(tx: Tx, what: str, *, since: int, limit: int) -> Sequence[Row]:
    """What has changed since then, in the order of the changes: what `tail` follows."""
    listing = LISTS[what]
    where, params = _where(listing, {"since": since})
    return await tx.rows(
        f"SELECT {listing.columns} FROM {listing.table} WHERE {where} "  # noqa: S608 (a fixed set)
        f"ORDER BY at, {listing.order} LIMIT :limit",
        **params,
        limit=limit,
    )


async def alive(tx: Tx) -> None:
    """Whether the store answers at all."""
    await tx.rows("SELECT 1 AS one")
