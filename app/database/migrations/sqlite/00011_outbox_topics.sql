-- +goose Up
-- length and GLOB read a text as far as its first NUL, so that the CHECK of 00005 takes 'answer-added' with a NUL and more behind it, which no
-- transport can publish. A table cannot be given another CHECK; old workers' producers meet the trigger, too.
CREATE TRIGGER outbox_topic_insert BEFORE INSERT ON outbox
WHEN instr(CAST(NEW.topic AS BLOB), x'00') > 0
BEGIN
    SELECT RAISE(ABORT, 'outbox: topic must be 1 to 60 of a-z, 0-9 and -');
END;
CREATE TRIGGER outbox_topic_update BEFORE UPDATE OF topic ON outbox
WHEN instr(CAST(NEW.topic AS BLOB), x'00') > 0
BEGIN
    SELECT RAISE(ABORT, 'outbox: topic must be 1 to 60 of a-z, 0-9 and -');
END;
