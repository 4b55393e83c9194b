package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/handlers"
)

const (
	// lastone_sales has one row an item: the order that is the earliest so far.
	// lastone_notices is what buyers were told.
	tables = `CREATE TABLE IF NOT EXISTS lastone_sales (item_id TEXT NOT NULL PRIMARY KEY, order_id TEXT NOT NULL, buyer TEXT NOT NULL, placed_at BIGINT NOT NULL);
		CREATE TABLE IF NOT EXISTS lastone_notices (topic TEXT NOT NULL, order_id TEXT NOT NULL, item_id TEXT NOT NULL)`
	// claim makes the first order of an item the winner, or else locks the row.
	claim  = `INSERT INTO lastone_sales (item_id, order_id, buyer, placed_at) VALUES ($1, $2, $3, $4) ON CONFLICT (item_id) DO UPDATE SET item_id = excluded.item_id RETURNING order_id, buyer, placed_at`
	change = `UPDATE lastone_sales SET order_id = $2, buyer = $3, placed_at = $4 WHERE item_id = $1`
	tell   = `INSERT INTO lastone_notices (topic, order_id, item_id) VALUES ($1, $2, $3)`
)

// shop decides who has bought what.
func shop() handlers.Handler {
	return handlers.Handler{
		Name: "shop",
		Migrate: func(ctx context.Context, db *database.DB) error {
			return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, tables)
				return err
			})
		},
		Topics: func(e handlers.Env) []handlers.Topic {
			return []handlers.Topic{app.On(topicPlaced, decode, func(ctx context.Context, o order) error { return place(ctx, e.DB, o) })}
		},
	}
}

// place takes an order. Inbox, decision and what is published about it are one
// transaction: an order that comes twice decides once.
func place(ctx context.Context, db *database.DB, o order) error {
	err := db.Once(ctx, "shop", topicPlaced, o.OrderID, func(ctx context.Context, tx *sql.Tx) error {
		had := order{ItemID: o.ItemID}
		var at int64
		if err := tx.QueryRowContext(ctx, db.SQL(claim), o.ItemID, o.OrderID, o.Buyer, o.PlacedAt.UnixMicro()).Scan(&had.OrderID, &had.Buyer, &at); err != nil {
			return err
		}
		had.PlacedAt = time.UnixMicro(at).UTC()
		if had.OrderID == o.OrderID { // nobody was before
			return say(ctx, tx, topicWon, o)
		}
		if had.before(o) { // it was sold by then
			return nil
		}
		// An earlier order comes late: what was said to the other is taken back.
		if _, err := tx.ExecContext(ctx, db.SQL(change), o.ItemID, o.OrderID, o.Buyer, o.PlacedAt.UnixMicro()); err != nil {
			return err
		}
		return errors.Join(say(ctx, tx, topicRevoked, had), say(ctx, tx, topicWon, o))
	})
	if err != nil {
		return fmt.Errorf("placing an order: %w", err)
	}
	return nil
}

// say publishes what is true once tx commits. Its event id follows from what it
// says.
func say(ctx context.Context, tx *sql.Tx, topic string, o order) error {
	o.EventID = topic + "/" + o.OrderID
	return outbox.Publish(ctx, tx, topic, o)
}

// notices tells buyers: here, a row and a line of the log.
func notices(logger *slog.Logger) handlers.Handler {
	return handlers.Handler{
		Name: "notices",
		Topics: func(e handlers.Env) []handlers.Topic {
			about := func(topic string) handlers.Topic {
				return app.On(topic, decode, func(ctx context.Context, o order) error {
					err := e.DB.Once(ctx, "notices", topic, o.EventID, func(ctx context.Context, tx *sql.Tx) error {
						_, err := tx.ExecContext(ctx, e.DB.SQL(tell), topic, o.OrderID, o.ItemID)
						return err
					})
					if err == nil {
						logger.InfoContext(ctx, "a buyer is told", "what", topic, "order", o.OrderID, "item", o.ItemID)
					}
					return err
				})
			}
			return []handlers.Topic{about(topicWon), about(topicRevoked)}
		},
	}
}
