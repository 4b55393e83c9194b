package cli

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// store puts an event into the outbox of the default database.
func store(t *testing.T, id string) {
	t.Helper()
	db, err := database.Open(t.Context(), database.DefaultConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return outbox.Publish(ctx, tx, event.TopicAnswerAdded, event.AnswerAdded{AnswerID: id, QuestionID: "q1", OccurredAt: time.Now()})
	}))
}

// The verb moves what is stored, tells its metrics, and ends with 0 when it is
// told to stop.
func TestRelay_MovesUntilItIsStopped(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	store(t, "a1")
	port, err := testserver.FreePort()
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	ctx, stop := context.WithCancel(t.Context())
	var said output
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, stock(Options{Args: []string{"relay", "--listen", address}, Out: &said, Err: &said}))
	}()
	require.Eventually(t, func() bool { return strings.Contains(get(address, "/metrics"), "\nanswerfeed_relayed_total 1\n") }, patience, 10*time.Millisecond)
	require.Equal(t, "ok\n", get(address, "/livez"))
	store(t, "a2")
	require.Eventually(t, func() bool { return strings.Contains(get(address, "/metrics"), "\nanswerfeed_relayed_total 2\n") }, patience, 10*time.Millisecond)
	stop()
	require.Equal(t, exitDone, <-ended, said.String())
	require.Contains(t, said.String(), "the relay has stopped")
	require.Contains(t, worker(t, "backlog", "-o", "json").out, `"ready": 2`)
}

func get(address, path string) string {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	http.DefaultClient.CloseIdleConnections()
	return string(text)
}

func TestRelay_SaysWhatIsWrong(t *testing.T) {
	here(t)
	r := worker(t, "relay", "--listen", "nowhere")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "--listen")
	r = worker(t, "relay", "now")
	require.Equal(t, exitUsage, r.code)
	write(t, "worker.yaml", "migrate: false\n")
	r = worker(t, "relay")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "run `worker migrate`")
}
