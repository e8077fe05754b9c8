-- What screening asks of the records: schema 2. Four tables, each entered in its own order, so that a batch touches few
-- pages of a long history. They hold HMACs and numbers of our own; batches that an earlier version entered are not in them.

CREATE TABLE term (                 -- a qualification, a centre, or the first eleven digits of a certificate number
    id   INTEGER PRIMARY KEY,
    hmac BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE award (                -- who was awarded what and when
    person        BLOB NOT NULL,    -- HMAC of ID type and number, cut to 16 bytes
    batch         INTEGER NOT NULL,
    head          INTEGER NOT NULL, -- of the certificate's number
    day           INTEGER NOT NULL, -- of issue, since 1970-01-01
    qualification INTEGER,          -- term; null where it was wrong, and so is the level
    level         INTEGER,
    PRIMARY KEY (person, batch, head)
) STRICT, WITHOUT ROWID;

CREATE TABLE issue (                -- which centre issued when
    centre INTEGER NOT NULL,        -- term
    day    INTEGER NOT NULL,
    batch  INTEGER NOT NULL,
    head   INTEGER NOT NULL,
    PRIMARY KEY (centre, day, batch, head)
) STRICT, WITHOUT ROWID;

CREATE TABLE serial (               -- which serials of a prefix were used
    prefix INTEGER NOT NULL,        -- term
    serial INTEGER NOT NULL,
    batch  INTEGER NOT NULL,
    PRIMARY KEY (prefix, serial, batch)
) STRICT, WITHOUT ROWID;
