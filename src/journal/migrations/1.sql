-- Times in unix milliseconds, money in micro-dollars, IMEIs as integers, states as the numbers in codes.rs.
-- Ids grow by append: the tables that a transition touches are written at their end.

CREATE TABLE facts (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- (account, network id) is one key; a service's name may change.
CREATE TABLE services (
    id            INTEGER PRIMARY KEY,
    account       TEXT NOT NULL,
    network_id    TEXT NOT NULL,
    name          TEXT NOT NULL,
    canary_proved INTEGER NOT NULL DEFAULT 0,   -- first orders that proved right
    canary_width  INTEGER NOT NULL DEFAULT 1,   -- how many go at once until then
    UNIQUE (account, network_id)
) STRICT;

CREATE TABLE batches (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,         -- NAME of its files in the outbox, reserved for good
    file_name     TEXT NOT NULL,
    taken_key     TEXT NOT NULL UNIQUE,         -- the folder in .taken where the original lies until it is archived
    archived_path TEXT,
    sha256        TEXT NOT NULL,
    bytes         INTEGER NOT NULL,
    service       INTEGER NOT NULL REFERENCES services (id),
    state         INTEGER NOT NULL,             -- 0 taking, 1 working, 2 held, 3 published, 4 done, 5 cancelled
    header        TEXT NOT NULL,                -- JSON: delimiter, columns, which one is the IMEI
    rows_total    INTEGER NOT NULL,
    taken_at      INTEGER NOT NULL,
    opened_at     INTEGER,
    published_at  INTEGER,
    done_at       INTEGER,
    held_for      TEXT,
    result_sha256 TEXT,                         -- of what was, or is about to be, published as results.csv
    settled_sha256 TEXT,
    cancelled_at  INTEGER                       -- a person wants nothing more of it sent
) STRICT;
CREATE INDEX batches_busy ON batches (state, id) WHERE state NOT IN (4, 5);
CREATE INDEX batches_sha ON batches (sha256);

-- A refused file: written before it is moved, so that a crash in between ends the same way.
CREATE TABLE refusals (
    id         INTEGER PRIMARY KEY,
    taken_key  TEXT NOT NULL UNIQUE,
    file_name  TEXT NOT NULL,
    dest_name  TEXT NOT NULL UNIQUE,
    reason     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    done_at    INTEGER
) STRICT;

CREATE TABLE orders (
    id           INTEGER PRIMARY KEY,
    service      INTEGER NOT NULL REFERENCES services (id),
    imei         INTEGER NOT NULL,
    batch        INTEGER NOT NULL,              -- of the row that it belongs to
    first_row    INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    current      INTEGER NOT NULL DEFAULT 1,    -- 0: a later order of the key took its place
    attempts     INTEGER NOT NULL DEFAULT 0,    -- the last attempt's number
    counted      INTEGER NOT NULL DEFAULT 0,
    unaccounted  INTEGER NOT NULL DEFAULT 0,
    inferred     INTEGER NOT NULL DEFAULT 0,
    presumed     INTEGER NOT NULL DEFAULT 0,
    charged      INTEGER NOT NULL DEFAULT 0,
    named        INTEGER NOT NULL DEFAULT 0,    -- charges whose id is known
    has_result   INTEGER NOT NULL DEFAULT 0,
    joined       INTEGER NOT NULL DEFAULT 0,    -- 1: rows beside the first one wait for it
    retried      INTEGER NOT NULL DEFAULT 0,    -- 1: a person ordered it anew
    probe_ok     INTEGER NOT NULL DEFAULT 0,    -- 1: settle wants it probed
    due_at       INTEGER NOT NULL DEFAULT 0,    -- queued: not before; ordered: next poll; in doubt: next look
    doubt_since  INTEGER,                       -- the latest doubt; the quiet period counts from here
    doubt_first  INTEGER,                       -- the first of this order's doubts; its age counts from here
    rested_after INTEGER,                       -- the ledger's last entry when the latest doubt's quiet period was over
    absent_since INTEGER,                       -- first whole and fresh listing without it, or with its id alone
    held_for     TEXT,
    provider_id  INTEGER,
    earlier      INTEGER,                       -- the earlier order of ours whose duplicate it is
    retry_of     INTEGER,                       -- the order of the same row that it was made anew of
    ordered_at   INTEGER,
    done_at      INTEGER,
    CHECK (unaccounted = 0 OR (state NOT IN (0, 8, 9) AND current = 1)),
    CHECK (named <= charged),
    CHECK (current = 1 OR state IN (6, 7, 8, 9, 10)),
    CHECK (state <> 3 OR provider_id IS NOT NULL)
) STRICT;
-- At most one live order for an (account, service, IMEI): no transition touches this index.
CREATE UNIQUE INDEX orders_current ON orders (service, imei) WHERE current = 1;
CREATE INDEX orders_older ON orders (service, imei) WHERE current = 0;
CREATE INDEX orders_queued ON orders (batch, due_at, id) WHERE state = 0;
-- Sent once, released, and queued again: a listing can still show the attempt.
CREATE INDEX orders_released ON orders (id) WHERE state = 0 AND inferred > 0;
CREATE INDEX orders_due ON orders (due_at, id) WHERE state = 3;
-- SQLite uses a partial index only where a query repeats its predicate as it stands here.
CREATE INDEX orders_unsure ON orders (state, due_at, id) WHERE state IN (1, 2, 4, 5);

-- Charges that may have been made beside one that is known: a listing or an export can still clear them.
CREATE INDEX orders_presumed ON orders (rested_after, id) WHERE presumed > 0 AND provider_id IS NOT NULL;
-- Attempts that were released and whose order got an id since: a listing can still show one that was taken.
CREATE INDEX orders_inferred ON orders (doubt_since) WHERE inferred > 0 AND provider_id IS NOT NULL;

CREATE TABLE rows (
    id       INTEGER PRIMARY KEY,               -- batch << 32 | row
    order_id INTEGER,                           -- NULL: not an IMEI
    link     INTEGER NOT NULL,                  -- 0 the order's own row, 1 waits for it too, 2 answered by an earlier order, 3 invalid,
                                                -- 4 its batch was cancelled, its order went on for another row
    why_not  TEXT,
    raw      BLOB NOT NULL                      -- its cells, as one CSV record
) STRICT;
CREATE INDEX rows_joined ON rows (order_id) WHERE link = 1;
CREATE INDEX rows_others ON rows (order_id) WHERE link IN (2, 4);

CREATE TABLE attempts (
    order_id   INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    kind       INTEGER NOT NULL,                -- 0 order, 1 probe, 2 entered on evidence of it, 3 assumed of an older copy
    price      INTEGER NOT NULL,
    day        INTEGER NOT NULL,                -- the local day whose cap it counts against, as 20251114
    claimed_at INTEGER NOT NULL,
    ended_at   INTEGER,
    verdict    INTEGER,                         -- NULL: in flight; else as in codes.rs
    known_id   INTEGER NOT NULL,                -- the highest id of the provider's that we knew when it began
    entry      INTEGER NOT NULL DEFAULT 0,      -- the ledger's last entry before it began
    PRIMARY KEY (order_id, n)
) STRICT, WITHOUT ROWID;
-- Never two calls of one order at once.
CREATE UNIQUE INDEX attempts_open ON attempts (order_id) WHERE verdict IS NULL;

-- One id, one order.
CREATE TABLE charges (
    account     TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    order_id    INTEGER NOT NULL,
    n           INTEGER,
    via         TEXT NOT NULL,
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (account, provider_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX charges_order ON charges (order_id);

-- The highest id of the provider's that we know: ids are compared, never times.
CREATE TABLE watermarks (
    account TEXT PRIMARY KEY,
    known_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids that an unclear answer told: looked up before the order is sent again.
CREATE TABLE told_ids (
    order_id    INTEGER NOT NULL,
    provider_id INTEGER NOT NULL,
    looked_at   INTEGER,
    PRIMARY KEY (order_id, provider_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
    id       INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL,
    n        INTEGER,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,                     -- placed, status, listed
    http     INTEGER,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX answers_order ON answers (order_id);

-- What a result is made of: the last status's text, beside the raw answers.
CREATE TABLE results (
    order_id INTEGER PRIMARY KEY,
    code     TEXT NOT NULL,
    exported TEXT                               -- JSON: what an export's row said beside the code
) STRICT;

-- What the provider calls a service: seen at our own orders. An export tells no other name.
CREATE TABLE titles (
    service INTEGER NOT NULL,
    title   TEXT NOT NULL,
    PRIMARY KEY (service, title)
) STRICT, WITHOUT ROWID;

-- Exports that were read to the end. Written before anything is moved, so that a crash in between ends the same way.
CREATE TABLE exports (
    id          INTEGER PRIMARY KEY,
    taken_key   TEXT NOT NULL UNIQUE,
    file_name   TEXT NOT NULL,
    at          INTEGER NOT NULL,
    counts      TEXT NOT NULL,                  -- JSON
    reason_name TEXT UNIQUE,                    -- in rejected/; NULL: every row was matched
    reason      TEXT,
    done_at     INTEGER
) STRICT;

-- Rows of exports for orders that were on the wire, or whose file was still being taken in.
CREATE TABLE kept_rows (
    id       INTEGER PRIMARY KEY,
    service  INTEGER NOT NULL,
    imei     INTEGER NOT NULL,
    kept_at  INTEGER NOT NULL,
    exported TEXT NOT NULL,                     -- JSON: the row, dated by our clock
    UNIQUE (service, imei, exported)
) STRICT;

CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    order_id INTEGER,
    batch    INTEGER,
    what     TEXT NOT NULL,
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX events_order ON events (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX events_batch ON events (batch) WHERE batch IS NOT NULL;

CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    batch    INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    kind     TEXT NOT NULL,                     -- reserve, release, charge, presume, unpresume, refund_due, refund_void
    micros   INTEGER NOT NULL
) STRICT;
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER ledger_stays BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is only appended'); END;
CREATE TRIGGER ledger_lasts BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is only appended'); END;

-- Sums of the ledger, kept beside it so that a cap is one look.
CREATE TABLE totals (
    scope    TEXT NOT NULL,                     -- day, batch
    key      INTEGER NOT NULL,
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    presumed INTEGER NOT NULL DEFAULT 0 CHECK (presumed >= 0),
    charged  INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
    refund   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

-- Rows of a batch by what their order is: status and start-up read these, never a COUNT.
CREATE TABLE tallies (
    batch INTEGER NOT NULL,
    state INTEGER NOT NULL,
    link  INTEGER NOT NULL,
    n     INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (batch, state, link)
) STRICT, WITHOUT ROWID;

CREATE TABLE pauses (
    scope    INTEGER NOT NULL,                  -- 0 all, else the service
    reason   TEXT NOT NULL,
    text     TEXT NOT NULL,
    since    INTEGER NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER,                           -- NULL: waits for a person
    one      INTEGER NOT NULL DEFAULT 0,        -- 1: one order may go to find out
    PRIMARY KEY (scope, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE alarms (
    n        INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    name     TEXT NOT NULL,
    text     TEXT NOT NULL,
    order_id INTEGER,
    batch    INTEGER,
    gone_at  INTEGER,
    acked_at INTEGER
) STRICT;
CREATE INDEX alarms_open ON alarms (n) WHERE gone_at IS NULL AND acked_at IS NULL;

-- What operators said: left here by a command, carried out by the daemon, or by the command where none runs.
CREATE TABLE requests (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    word    TEXT NOT NULL,                      -- JSON
    target  TEXT NOT NULL,                      -- JSON: an order's service and IMEI, or a batch
    cursor  INTEGER NOT NULL DEFAULT 0,         -- the row up to which a word about a batch is carried out
    count   INTEGER NOT NULL DEFAULT 0,         -- how many orders it has reached
    done_at INTEGER,
    answer  TEXT                                -- JSON
) STRICT;
CREATE INDEX requests_open ON requests (id) WHERE done_at IS NULL;
