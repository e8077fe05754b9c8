-- The ledger: which batch is where, what happened, and which certificate numbers were reported.
-- It holds no personal data: numbers and rows only as HMAC-SHA-256, file names only encrypted; the key is not in here.

CREATE TABLE meta (                 -- schema version, ledger id, whether delivery is paused
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    ordinal      INTEGER PRIMARY KEY,               -- order of claiming
    id           TEXT NOT NULL UNIQUE,              -- the batch's name: unit, date, hash of its content
    stem         BLOB NOT NULL,                     -- the clerk's name for it, encrypted
    pairing      BLOB NOT NULL,                     -- HMAC of lane and folded stem: finds the waiting partner
    data_type    TEXT NOT NULL,
    state        TEXT NOT NULL,
    held_from    TEXT,                              -- the state to which `release` returns
    reason       TEXT,                              -- why it waits, as a documented code
    reason_facts TEXT NOT NULL DEFAULT '{}',
    acting       INTEGER NOT NULL DEFAULT 0,        -- 1 while a step is at work; still 1 at start = it killed the process
    crashes      INTEGER NOT NULL DEFAULT 0,        -- in this state
    attempts     INTEGER NOT NULL DEFAULT 0,        -- failed tries in this state
    next_attempt REAL,                              -- seconds of the epoch; null = when something changes or the operator says so
    cleared      INTEGER NOT NULL DEFAULT 0,        -- 1 when nothing of it is left outside the ledger but its evidence
    rows         INTEGER,
    digest       TEXT,                              -- of certificates.csv
    created      TEXT NOT NULL,
    updated      TEXT NOT NULL,
    facts        TEXT NOT NULL DEFAULT '{}'         -- what the steps found out, as JSON without personal data
) STRICT;
CREATE INDEX batch_waiting ON batch (cleared, state);
CREATE INDEX batch_pairing ON batch (pairing);

CREATE TABLE source (               -- the clerk's files of a batch
    batch    INTEGER NOT NULL REFERENCES batch (ordinal),
    position INTEGER NOT NULL,      -- 0 = the scan, 1… = the spreadsheets in order
    name     BLOB NOT NULL,         -- encrypted
    sha256   TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    claim    TEXT NOT NULL,         -- the claim folder it came through
    PRIMARY KEY (batch, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_claim ON source (claim);

CREATE TABLE certificate (          -- every number of every batch that passed its checks, in order of entering
    head    INTEGER NOT NULL,       -- first eight bytes of `number`: a narrow index, so that entering touches few pages
    number  BLOB NOT NULL,          -- HMAC of the certificate number
    batch   INTEGER NOT NULL REFERENCES batch (ordinal),
    row     INTEGER NOT NULL,       -- as the spreadsheet program shows it
    file    INTEGER NOT NULL,
    content BLOB NOT NULL           -- HMAC of the whole record
) STRICT;
CREATE INDEX certificate_head ON certificate (head);

CREATE TABLE event (                -- append-only, each bound to the one before by its hash
    seq      INTEGER PRIMARY KEY,
    time     TEXT NOT NULL,
    batch    TEXT,
    event    TEXT NOT NULL,
    facts    TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
) STRICT;
CREATE INDEX event_batch ON event (batch);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
