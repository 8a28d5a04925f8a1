// N nodes of HashiCorp memberlist in its LAN defaults, which do not encrypt.
// The contract of a peer program is in benchmarks/peers/__init__.py.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	module = "github.com/hashicorp/memberlist"
	poll   = 20 * time.Millisecond
)

type formed struct {
	Event     string  `json:"event"`
	Seconds   float64 `json:"seconds"`
	Name      string  `json:"name"`
	Version   string  `json:"version"`
	Encrypted bool    `json:"encrypted"`
	Profile   string  `json:"profile"`
}

func main() {
	count := flag.Int("nodes", 0, "number of nodes")
	spread := flag.Float64("spread", 0, "seconds over which the joins are spread")
	flag.Parse()
	go exitWhenInputCloses()
	if err := run(*count, *spread); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}

func exitWhenInputCloses() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func run(count int, spread float64) error {
	begin := time.Now()
	nodes, err := start(count, spread)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		for node.NumMembers() != count {
			time.Sleep(poll)
		}
	}
	line := formed{"formed", time.Since(begin).Seconds(), "memberlist", version(), false, "lan"}
	return json.NewEncoder(os.Stdout).Encode(line)
}

// start opens the first node, then all others over spread seconds, each joining the first.
func start(count int, spread float64) ([]*memberlist.Memberlist, error) {
	if count < 1 {
		return nil, fmt.Errorf("--nodes must be at least 1, not %d", count)
	}
	first, err := open(0, "")
	if err != nil {
		return nil, err
	}
	seed := first.LocalNode().FullAddress().Addr
	nodes := make([]*memberlist.Memberlist, count)
	nodes[0] = first
	failures := make(chan error, count)
	for i := 1; i < count; i++ {
		go func() {
			time.Sleep(time.Duration(spread * float64(i) / float64(count) * float64(time.Second)))
			node, err := open(i, seed)
			nodes[i] = node
			failures <- err
		}()
	}
	for range count - 1 {
		if err := <-failures; err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func open(number int, seed string) (*memberlist.Memberlist, error) {
	config := memberlist.DefaultLANConfig()
	config.Name = fmt.Sprintf("node-%d", number)
	config.BindAddr = "127.0.0.1"
	config.BindPort = 0
	config.AdvertisePort = 0
	config.Logger = log.New(io.Discard, "", 0)
	node, err := memberlist.Create(config)
	if err != nil || seed == "" {
		return node, err
	}
	_, err = node.Join([]string{seed})
	return node, err
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}
