-- +goose Up
-- Events that were stored together with what they tell of, on their way to the
-- transport: see the relay. Times are microseconds since 1970, UTC. A producer
-- calls the function below, or writes the first columns; the rest is the
-- relay's.
--
-- A row lives for milliseconds: inserted, claimed, deleted. A claim changes no
-- indexed column and finds room on its page (fillfactor), so it leaves nothing
-- in the indexes. What is dead is swept after a fixed number of rows rather
-- than after a share of a table whose size says nothing, and without pauses:
-- so the table stays at a few MB, and comes back to that after a backlog.
CREATE TABLE outbox (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic         TEXT   COLLATE "C" NOT NULL CHECK (topic ~ '^[a-z0-9-]{1,60}$'),
    -- Given when the row is written: what is sent twice is the same message.
    uuid          TEXT   COLLATE "C" NOT NULL DEFAULT gen_random_uuid()::text CHECK (octet_length(uuid) BETWEEN 1 AND 128),
    metadata      TEXT   COLLATE "C" NOT NULL DEFAULT '{}', -- a JSON object of strings
    payload       BYTEA  NOT NULL CHECK (octet_length(payload) <= 1048576),
    created_at    BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    -- Of the relay that has it; the claim ends by itself.
    claimed_until BIGINT NOT NULL DEFAULT 0,
    token         BIGINT NOT NULL DEFAULT 0,
    -- Of what could not be sent.
    tries         INTEGER NOT NULL DEFAULT 0,
    retry_at      BIGINT NOT NULL DEFAULT 0,
    last_error    TEXT   COLLATE "C" NOT NULL DEFAULT ''
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000,
    toast.autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX outbox_again ON outbox (retry_at, id) WHERE tries > 0;

-- For producers in any language, inside their own transaction:
--   SELECT answerfeed_publish('answer-added', '{…}');
-- It returns the message's UUID. It runs with the caller's rights, who needs
-- INSERT on the table; whatever the caller's search_path, it means this table
-- and PostgreSQL's own functions.
DO $do$
BEGIN
    EXECUTE format($create$
CREATE FUNCTION %1$I.answerfeed_publish(topic text, data jsonb, metadata jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    payload CONSTANT bytea := convert_to(data::text, 'UTF8');
    message CONSTANT text := gen_random_uuid()::text;
BEGIN
    IF topic IS NULL OR topic !~ '^[a-z0-9-]{1,60}$' THEN
        RAISE 'answerfeed_publish: topic must be 1 to 60 of a-z, 0-9 and -' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF data IS NULL OR jsonb_typeof(data) <> 'object' THEN
        RAISE 'answerfeed_publish: data must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(payload) > 1048576 THEN
        RAISE 'answerfeed_publish: data is larger than 1048576 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    metadata := coalesce(metadata, '{}');
    IF metadata <> '{}' THEN
        IF jsonb_typeof(metadata) <> 'object' OR EXISTS (SELECT FROM jsonb_each(metadata) WHERE jsonb_typeof(value) <> 'string') THEN
            RAISE 'answerfeed_publish: metadata must be a JSON object of strings' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF EXISTS (SELECT FROM jsonb_object_keys(metadata) AS key WHERE octet_length(convert_to(key, 'UTF8')) NOT BETWEEN 1 AND 128) THEN
            RAISE 'answerfeed_publish: a metadata key must have 1 to 128 bytes' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF (SELECT sum(octet_length(convert_to(key || value, 'UTF8'))) FROM jsonb_each_text(metadata)) > 32768 THEN
            RAISE 'answerfeed_publish: metadata is larger than 32768 bytes' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    INSERT INTO %1$I.outbox (topic, uuid, metadata, payload) VALUES (topic, message, metadata::text, payload);
    RETURN message;
END
$function$
$create$, current_schema());
END
$do$;
