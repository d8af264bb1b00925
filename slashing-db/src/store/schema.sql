-- Slots and epochs are numbers below 2^63. A signing root is 32 bytes, or empty where an import did
-- not tell it. All records are facts that are never changed: a slot or a target may hold several
-- (an import can bring contradictions), and then nothing is signed there.

CREATE TABLE metadata (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- 16 random bytes, repeated in the sidecar file.
    database_id BLOB NOT NULL,
    genesis_validators_root BLOB NOT NULL,
    network TEXT NOT NULL,
    -- NULL for a signer that holds whole keys.
    cluster_lock_hash BLOB,
    -- Seconds since 1970.
    created_at INTEGER NOT NULL,
    -- How often a signer has started on this database.
    starts INTEGER NOT NULL,
    -- The number of the last change other than a message; the journal goes on from there.
    sequence INTEGER NOT NULL,
    -- The chained checksum of the last journal entry that was moved out.
    journal_chain INTEGER NOT NULL,
    -- The watermark an operator raised for every validator.
    floor_slot INTEGER,
    floor_source INTEGER,
    floor_target INTEGER,
    -- The high watermark.
    high_slot INTEGER,
    high_epoch INTEGER,
    -- Sums of the checksums of all rows of `blocks` and `attestations`, and of `validators`.
    archive_digest INTEGER NOT NULL,
    validators_digest INTEGER NOT NULL,
    -- The checksum of this row.
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE validators (
    id INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE,
    -- The earliest that is known: EIP-3076 conditions 2, 4 and 5.
    low_slot INTEGER,
    low_source INTEGER,
    low_target INTEGER,
    -- The watermark an operator raised for this validator.
    floor_slot INTEGER,
    floor_source INTEGER,
    floor_target INTEGER,
    -- The latest of an import that has not been finished.
    guard_slot INTEGER,
    guard_source INTEGER,
    guard_target INTEGER,
    -- The highest of each in `blocks` and `attestations`.
    peak_slot INTEGER,
    peak_source INTEGER,
    peak_target INTEGER,
    -- 1 where an import brought votes that surround each other.
    contradictory INTEGER NOT NULL,
    -- 1 where a message in `blocks` or `attestations` was signed here.
    signed INTEGER NOT NULL
) STRICT;

-- What was signed last, in the order of signing: a batch is an append. Moved to the two tables below
-- when no signature waits.
CREATE TABLE journal (
    -- The number of the entry's last message.
    sequence INTEGER PRIMARY KEY,
    -- One or more messages of one commit, 57 bytes each: the validator's id (8 bytes), 0 for a block or
    -- 1 for an attestation (1), the source epoch or 0 (8), the slot or the target epoch (8), the signing
    -- root (32). Numbers have the low byte first.
    messages BLOB NOT NULL,
    -- The checksum of this entry and of the chain before it.
    chain INTEGER NOT NULL
) STRICT;

CREATE TABLE blocks (
    validator_id INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    signing_root BLOB NOT NULL,
    PRIMARY KEY (validator_id, slot, signing_root)
) STRICT, WITHOUT ROWID;

-- By target first: an epoch's rows, one for each validator, lie side by side and are written together.
CREATE TABLE attestations (
    target_epoch INTEGER NOT NULL,
    validator_id INTEGER NOT NULL,
    source_epoch INTEGER NOT NULL,
    signing_root BLOB NOT NULL,
    PRIMARY KEY (target_epoch, validator_id, source_epoch, signing_root)
) STRICT, WITHOUT ROWID;
