-- +goose Up
-- What a worker writes while the database takes no writes, to learn when it
-- does again: one row, replaced each time.
CREATE TABLE write_trial (
    id     SMALLINT PRIMARY KEY,
    filler BYTEA    NOT NULL
);

-- answerfeed_publish for what drivers send: JDBC varchar, .NET and psycopg text
-- or json. A text of no type, as in a statement that is typed by hand, is text
-- here. All do what the function of jsonb does.
-- +goose StatementBegin
DO $do$
DECLARE
    data text;
    metadata text;
BEGIN
    FOREACH data IN ARRAY ARRAY['text', 'json'] LOOP
        EXECUTE format($create$
CREATE FUNCTION %1$I.answerfeed_publish(topic text, data %2$s) RETURNS text
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $function$
    SELECT %1$I.answerfeed_publish(topic, data::jsonb, '{}'::jsonb)
$function$
$create$, current_schema(), data);
    END LOOP;
    FOREACH data IN ARRAY ARRAY['text', 'json', 'jsonb'] LOOP
        FOREACH metadata IN ARRAY ARRAY['text', 'json', 'jsonb'] LOOP
            CONTINUE WHEN data = 'jsonb' AND metadata = 'jsonb'; -- it is there already
            EXECUTE format($create$
CREATE FUNCTION %1$I.answerfeed_publish(topic text, data %2$s, metadata %3$s) RETURNS text
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $function$
    SELECT %1$I.answerfeed_publish(topic, data::jsonb, metadata::jsonb)
$function$
$create$, current_schema(), data, metadata);
        END LOOP;
    END LOOP;
END
$do$;
-- +goose StatementEnd
