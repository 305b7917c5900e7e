-- Calls of carriers whose price is still to be asked for.
CREATE INDEX calls_unpriced ON calls (ended_at)
    WHERE carrier_call_id IS NOT NULL AND currency IS NULL;
