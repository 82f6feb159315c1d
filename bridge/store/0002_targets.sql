-- What targets call our customers, what their records showed last, and what of their answers is shown.

-- What the target's record shows after this attempt: the baseline of the next call in its lane. '': unknown, or used.
ALTER TABLE attempts ADD COLUMN leaves TEXT NOT NULL DEFAULT '';
CREATE INDEX attempts_leaves ON attempts (lane) WHERE leaves <> '';

-- The target's own name for a customer, where it has to be asked for it. `customer` is a hash of all that the call
-- knows of them: where that changes, the target is asked again.
CREATE TABLE names (
    target   TEXT   NOT NULL,
    customer TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (target, customer)
);

-- Fields of a target's answer for the customer's own page: sealed, because a prize code is worth what it buys.
CREATE TABLE shown (
    forward TEXT   PRIMARY KEY,
    sealed  TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
