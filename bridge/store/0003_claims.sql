-- What customers say they did, the sign-ins by which they prove who they are, and what is kept for asking again.

-- A customer says so. All tickets of one (customer, source, action) join the claim that is not at its end.
CREATE TABLE claims (
    id         TEXT   PRIMARY KEY,
    number     TEXT   NOT NULL,            -- short, for a customer to quote
    source     TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    customer   TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN
                   ('open',                -- -> checking (an account was connected), review, expired
                    'checking',            -- -> verified, review, rejected, expired
                    'review',              -- -> verified, rejected
                    'verified',            -- the end
                    'rejected',            -- the end
                    'expired')),           -- the end
    reason     TEXT   NOT NULL DEFAULT '',
    account    TEXT,                       -- NULL until one was connected
    handle     TEXT   NOT NULL DEFAULT '',
    browser    TEXT   NOT NULL DEFAULT '', -- a hash: the browser that signed in, and no other sees what is shown
    about      TEXT   NOT NULL DEFAULT '', -- sealed: the account as the platform described it
    given      TEXT   NOT NULL DEFAULT '', -- sealed: what the customer pasted
    back       TEXT   NOT NULL DEFAULT '', -- the shop's page, allow-listed
    baseline   TEXT   NOT NULL DEFAULT '', -- the first answer that says yes or no
    result     TEXT   NOT NULL DEFAULT '', -- the last answer: verified, not_found, pending, unknown
    obstacle   TEXT   NOT NULL DEFAULT '',
    note       TEXT   NOT NULL DEFAULT '', -- for the operator
    evidence   TEXT   NOT NULL DEFAULT '',
    asked      BIGINT NOT NULL DEFAULT 0,  -- how often it was asked by itself: the index into the schedule
    lease      BIGINT NOT NULL DEFAULT 0,  -- the fencing token
    pressed_at BIGINT,                     -- when the customer last pressed the button
    told_at    BIGINT,                     -- when the customer was asked to do it: the baseline was known
    due_at     BIGINT,                     -- NULL: nothing to do by itself
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE UNIQUE INDEX claims_going ON claims (source, action, customer) WHERE state IN ('open', 'checking', 'review');
CREATE INDEX claims_customer ON claims (customer);
CREATE INDEX claims_due ON claims (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX claims_account ON claims (source, account, action) WHERE account IS NOT NULL;
CREATE INDEX claims_number ON claims (number);
CREATE INDEX claims_changed ON claims (at);

-- One row for each visit to a platform's sign-in, so that a second tab does not kill the first. Of the state only a hash.
CREATE TABLE sign_ins (
    state       TEXT   PRIMARY KEY,
    source      TEXT   NOT NULL,
    claim       TEXT   NOT NULL,
    browser     TEXT   NOT NULL,
    sealed      TEXT   NOT NULL,           -- verifier, nonce, server, key; wiped when it is used
    proof       TEXT,                      -- a hash of what a login without a code has signed: good once, too
    consumed_at BIGINT,
    expires_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX sign_ins_proof ON sign_ins (source, proof) WHERE proof IS NOT NULL;
CREATE INDEX sign_ins_over ON sign_ins (expires_at);

-- What a customer lets us do at a platform, for as long as somebody must be asked with it; then given back.
CREATE TABLE grants (
    id       TEXT   PRIMARY KEY,
    claim    TEXT   NOT NULL,
    source   TEXT   NOT NULL,
    account  TEXT   NOT NULL DEFAULT '',
    sealed   TEXT   NOT NULL,
    state    TEXT   NOT NULL CHECK (state IN ('kept', 'ending')),
    lease    BIGINT NOT NULL DEFAULT 0,    -- who may refresh it: many platforms take a refresh token once
    until_at BIGINT NOT NULL DEFAULT 0,    -- until when that is
    tries    BIGINT NOT NULL DEFAULT 0,    -- of giving it back
    due_at   BIGINT,
    at       BIGINT NOT NULL
);
CREATE INDEX grants_claim ON grants (claim);
CREATE INDEX grants_account ON grants (source, account);
CREATE INDEX grants_due ON grants (due_at) WHERE due_at IS NOT NULL;

-- Six digits that a customer sends to the brand.
CREATE TABLE codes (
    id         TEXT   PRIMARY KEY,
    claim      TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    code       TEXT   NOT NULL,
    browser    TEXT   NOT NULL,            -- whose page shows it
    account    TEXT,                       -- who has sent it
    about      TEXT   NOT NULL DEFAULT '', -- sealed
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    at         BIGINT NOT NULL
);
CREATE UNIQUE INDEX codes_live ON codes (source, code) WHERE used_at IS NULL;
CREATE INDEX codes_claim ON codes (claim);
CREATE INDEX codes_over ON codes (expires_at);
-- Wrong codes: so many for each account and hour.
CREATE TABLE misses (
    source  TEXT   NOT NULL,
    account TEXT   NOT NULL,
    hour    BIGINT NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (source, account, hour)
);

-- The brand's own tokens, by `setup`.
CREATE TABLE brands (
    source  TEXT   PRIMARY KEY,
    sealed  TEXT   NOT NULL,
    account TEXT   NOT NULL DEFAULT '',
    handle  TEXT   NOT NULL DEFAULT '',
    lease   BIGINT NOT NULL DEFAULT 0,
    until_at BIGINT NOT NULL DEFAULT 0,
    at      BIGINT NOT NULL
);

-- Servers that had to be found, and where we are registered.
CREATE TABLE servers (
    source TEXT   NOT NULL,
    home   TEXT   NOT NULL,
    sealed TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (source, home)
);

-- What the platform says of a linked account, and what about the link was strange.
ALTER TABLE links ADD COLUMN handle TEXT NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN account_created_at BIGINT;
ALTER TABLE links ADD COLUMN followers BIGINT;
ALTER TABLE links ADD COLUMN doubt TEXT NOT NULL DEFAULT '';

-- Whose an account was: for the cool-down before it may become somebody else's.
CREATE TABLE partings (
    source   TEXT   NOT NULL,
    account  TEXT   NOT NULL,
    customer TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (source, account)
);

-- 1: it was so before the customer was asked to do it.
ALTER TABLE evidence ADD COLUMN already BIGINT NOT NULL DEFAULT 0;
-- 'asked': a person looks at it before the rules that want it so; 'approved', 'refused': what they said.
ALTER TABLE evidence ADD COLUMN review TEXT NOT NULL DEFAULT '';
