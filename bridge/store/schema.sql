-- One schema for both engines. The contract that keeps it one text:
--   Types are TEXT, BIGINT and BYTEA. Ids are text that sorts by time. JSON is text. No booleans, no serials.
--   Times are BIGINT, milliseconds since 1970, named *_at (a row's own `at` is its last change), always passed in.
--   INSERT ... ON CONFLICT DO NOTHING, UPDATE ... RETURNING, WITH ... AS MATERIALIZED, CHECK, UNIQUE, partial indexes.
--   Parameters are :name. The engines differ in {tx.skip_locked} and in triggers_<engine>.sql, nowhere else.

CREATE TABLE deliveries (
    id          TEXT   PRIMARY KEY,
    source      TEXT   NOT NULL,
    key         TEXT   NOT NULL,           -- by which a repeated delivery is recognised
    method      TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    headers     TEXT   NOT NULL,
    body        BYTEA  NOT NULL,           -- the bytes as they came
    received_at BIGINT NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('processed', 'ignored', 'failed')),
    reason      TEXT   NOT NULL DEFAULT '',
    copies      BIGINT NOT NULL DEFAULT 0, -- how often it came again
    at          BIGINT NOT NULL,
    UNIQUE (source, key)
);
CREATE INDEX deliveries_changed ON deliveries (at) WHERE at <> received_at; -- the others are found by their ids
CREATE INDEX deliveries_failed ON deliveries (source, id) WHERE state = 'failed';

CREATE TABLE evidence (
    id          TEXT   PRIMARY KEY,
    source      TEXT   NOT NULL,
    action      TEXT   NOT NULL,
    key         TEXT   NOT NULL,           -- the fact's name; never changes its form, or it pays again
    undone      BIGINT NOT NULL DEFAULT 0, -- 1: the fact, or its part, no longer holds
    part        TEXT   NOT NULL DEFAULT '',
    account     TEXT,                      -- unknown is NULL, never ''
    owner       TEXT,                      -- the customer, where the source knows its customers
    subject     TEXT   NOT NULL,
    occurred_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    grade       TEXT   NOT NULL CHECK (grade IN ('A', 'B', 'C')),
    facts       TEXT   NOT NULL,
    less        TEXT   NOT NULL DEFAULT '{}',
    delivery    TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('considered', 'waiting', 'unjudged')),
    reason      TEXT   NOT NULL DEFAULT '',
    at          BIGINT NOT NULL,
    UNIQUE (source, action, key, undone, part)
);
CREATE INDEX evidence_owner ON evidence (owner) WHERE owner IS NOT NULL;
CREATE INDEX evidence_changed ON evidence (at) WHERE at <> received_at;
CREATE INDEX evidence_delivery ON evidence (delivery); -- ids sort by time, so this grows at its right edge
CREATE INDEX evidence_open ON evidence (state, source, account) WHERE state <> 'considered';

-- Who is who at the shop. `person` is the id of the customer that stands for all who are the same person;
-- it counts for limits only, and the call names the customer.
CREATE TABLE customers (
    id             TEXT   PRIMARY KEY,
    email          TEXT,
    phone          TEXT,
    email_verified BIGINT NOT NULL DEFAULT 0,
    phone_verified BIGINT NOT NULL DEFAULT 0,
    person         TEXT   NOT NULL,
    at             BIGINT NOT NULL
);
CREATE INDEX customers_email ON customers (email) WHERE email IS NOT NULL;
CREATE INDEX customers_phone ON customers (phone) WHERE phone IS NOT NULL;
CREATE INDEX customers_person ON customers (person) WHERE person <> id;

CREATE TABLE links (
    id        TEXT   PRIMARY KEY,
    source    TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    customer  TEXT   NOT NULL,
    how       TEXT   NOT NULL,
    linked_at BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    UNIQUE (source, account)               -- one account, one customer
);
CREATE INDEX links_customer ON links (customer);

CREATE TABLE forwards (
    id          TEXT   PRIMARY KEY,        -- the idempotency key of every attempt
    kind        TEXT   NOT NULL CHECK (kind IN ('reward', 'undo')),
    rule        TEXT   NOT NULL,
    send        TEXT   NOT NULL,           -- which of the rule's sends
    bucket      TEXT   NOT NULL,
    person      TEXT   NOT NULL,           -- as it was when the forward was made
    source      TEXT   NOT NULL,
    account     TEXT,
    action      TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    customer    TEXT   NOT NULL,           -- {id, email, phone} as the call names them
    options     TEXT   NOT NULL,           -- the rule's `send`, computed
    facts       TEXT   NOT NULL,
    terms       TEXT   NOT NULL DEFAULT '',-- the rule's words as they stood, where they are judged again
    judge       BIGINT NOT NULL DEFAULT 0, -- 1: ask once more whether it is owed before it leaves
    evidence    TEXT   NOT NULL,
    undoes      TEXT   NOT NULL DEFAULT '',-- for kind = undo: the forward it takes back
    state       TEXT   NOT NULL CHECK (state IN
                    ('pending',            -- -> delivered, accepted, failed, held, cancelled
                     'accepted',           -- -> delivered, failed, held
                     'delivered',          -- the end
                     'failed',             -- -> pending (replay), delivered (confirm), cancelled
                     'held',               -- -> pending (release), delivered (confirm), cancelled
                     'cancelled')),        -- the end, unless a late answer shows that it had arrived
    reason      TEXT   NOT NULL DEFAULT '',
    wish        TEXT   NOT NULL DEFAULT '',-- hold, cancel: carried out when the open attempt ends; undo: a person must
    due_at      BIGINT,                    -- NULL: nothing to do by itself
    until_at    BIGINT,                    -- when asking (the source, the target's confirmation) gives up
    lane        TEXT   NOT NULL,           -- whose doubt must be alone
    seat        TEXT   NOT NULL,           -- target and customer: one call at a time
    parked      TEXT,                      -- the lane or seat it waits for
    open        BIGINT,                    -- the attempt that is not closed, or closed and still in doubt
    sent        BIGINT NOT NULL DEFAULT 0, -- 1: some attempt left this house
    tries       BIGINT NOT NULL DEFAULT 0, -- counted tries: the index into the schedule
    attempts    BIGINT NOT NULL DEFAULT 0,
    lease       BIGINT NOT NULL DEFAULT 0, -- the fencing token
    occurred_at BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    UNIQUE (source, action, key, rule, send, kind)
);
-- The whole deduplication. A forward withdrawn before it left frees its bucket; one that left keeps it.
-- Rule and bucket stand first: what is owed now lies together, and an insert touches few pages.
CREATE UNIQUE INDEX forwards_person ON forwards (rule, send, bucket, person)
    WHERE kind = 'reward' AND (state <> 'cancelled' OR sent = 1);
CREATE UNIQUE INDEX forwards_account ON forwards (rule, send, bucket, source, account)
    WHERE kind = 'reward' AND (state <> 'cancelled' OR sent = 1) AND account IS NOT NULL;
CREATE INDEX forwards_due ON forwards (target, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX forwards_parked ON forwards (parked, id) WHERE parked IS NOT NULL;
CREATE INDEX forwards_attention ON forwards (state, target, id) WHERE state IN ('failed', 'held', 'accepted');
CREATE INDEX forwards_wish ON forwards (wish, id) WHERE wish <> '';
CREATE INDEX forwards_paid ON forwards (rule) WHERE sent = 1;
CREATE INDEX forwards_changed ON forwards (at) WHERE at <> created_at;

CREATE TABLE attempts (
    forward     TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    lane        TEXT   NOT NULL,
    seat        TEXT   NOT NULL,
    leased_at   BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    baseline    TEXT   NOT NULL DEFAULT '',
    sent_at     BIGINT,                    -- NULL: nothing left this house
    ended_at    BIGINT,
    resolved_at BIGINT,                    -- NULL: nobody can tell yet whether it took effect
    resolution  TEXT   NOT NULL DEFAULT '',-- happened, did not happen
    status      BIGINT,
    verdict     TEXT   NOT NULL DEFAULT '',
    note        TEXT   NOT NULL DEFAULT '',
    reference   TEXT   NOT NULL DEFAULT '',
    answer      TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (forward, number)
);
CREATE UNIQUE INDEX attempts_lane ON attempts (lane) WHERE resolved_at IS NULL;
CREATE UNIQUE INDEX attempts_seat ON attempts (seat) WHERE ended_at IS NULL;

CREATE TABLE targets (
    name      TEXT   PRIMARY KEY,
    paused_at BIGINT,
    pause     TEXT   NOT NULL DEFAULT '',  -- operator, misconfigured
    reason    TEXT   NOT NULL DEFAULT '',
    breaker   TEXT   NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'probing')),
    failures  BIGINT NOT NULL DEFAULT 0,
    probe_at  BIGINT,
    at        BIGINT NOT NULL
);

CREATE TABLE rejections (
    id      TEXT   PRIMARY KEY,
    source  TEXT   NOT NULL,
    reason  TEXT   NOT NULL,
    detail  TEXT   NOT NULL,
    hint    TEXT   NOT NULL,               -- which mistake it looks like
    method  TEXT   NOT NULL,
    path    TEXT   NOT NULL,
    headers TEXT   NOT NULL,               -- redacted
    size    BIGINT NOT NULL,
    sha256  TEXT   NOT NULL,
    at      BIGINT NOT NULL
);

CREATE TABLE numbers (
    name  TEXT   NOT NULL,
    label TEXT   NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name, label)
);

CREATE TABLE alerts (
    name  TEXT   PRIMARY KEY,              -- what is wrong with what: held gameball
    text  TEXT   NOT NULL,
    since BIGINT NOT NULL
);

-- Append-only, by trigger. Ids, no personal data, so that nothing in it ever has to change.
CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT   NOT NULL,
    action TEXT   NOT NULL,
    object TEXT   NOT NULL,
    detail TEXT   NOT NULL
);
CREATE INDEX audit_object ON audit (object, number) WHERE action <> 'delivery.stored';
CREATE TABLE seals (
    number BIGINT PRIMARY KEY,
    upto   BIGINT NOT NULL,                -- the last entry it covers
    hash   TEXT   NOT NULL,                -- over the entries and the seal before
    at     BIGINT NOT NULL
);
