package verify

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProxy_PassesAndCuts(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var echoes sync.WaitGroup
	echoes.Go(func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			echoes.Go(func() { _, _ = io.Copy(conn, conn); _ = conn.Close() })
		}
	})
	proxy, err := NewProxy("tcp", server.Addr().String())
	require.NoError(t, err)

	var conns []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", proxy.Addr())
		require.NoError(t, err)
		conns = append(conns, conn)
		_, err = conn.Write([]byte("echo"))
		require.NoError(t, err)
		back := make([]byte, 4)
		_, err = io.ReadFull(conn, back)
		require.NoError(t, err)
		require.Equal(t, "echo", string(back))
	}
	require.Equal(t, 3, proxy.Cut())
	for _, conn := range conns {
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err, "a reset, or the end")
		require.NoError(t, conn.Close())
	}

	again, err := net.Dial("tcp", proxy.Addr())
	require.NoError(t, err, "it goes on")
	_, err = again.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(again, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, proxy.Close())
	_, err = again.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, again.Close())
	_, err = net.Dial("tcp", proxy.Addr())
	require.Error(t, err)

	require.NoError(t, server.Close())
	echoes.Wait()
}
