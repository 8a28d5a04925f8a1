// N nodes of HashiCorp memberlist in its LAN defaults, which do not encrypt; with --encrypt, they do.
// The contract of a peer program is in benchmarks/peers/__init__.py.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	module = "github.com/hashicorp/memberlist"
	poll   = 20 * time.Millisecond
	// A death that is not known to all by then counts as not known.
	patience = time.Minute
)

type formed struct {
	Event     string  `json:"event"`
	Seconds   float64 `json:"seconds"`
	Name      string  `json:"name"`
	Version   string  `json:"version"`
	Encrypted bool    `json:"encrypted"`
	Profile   string  `json:"profile"`
	Loop      string  `json:"loop"`
}

type crashed struct {
	Event       string   `json:"event"`
	First       *float64 `json:"first_s"`
	AllKnow     *float64 `json:"all_know_s"`
	FalseDeaths int      `json:"false_deaths"`
}

type restored struct {
	Event   string  `json:"event"`
	Seconds float64 `json:"seconds"`
}

type death struct {
	observer int
	whose    string
	at       time.Time
}

// cluster is all nodes, and what they report.
type cluster struct {
	key        []byte
	nodes      []*memberlist.Memberlist
	lastVictim int

	mutex       sync.Mutex
	deaths      chan death
	ended       map[string]bool
	falseDeaths int
}

// observer hears what one node learns.
type observer struct {
	number  int
	cluster *cluster
}

func (o observer) NotifyJoin(*memberlist.Node)   {}
func (o observer) NotifyUpdate(*memberlist.Node) {}
func (o observer) NotifyLeave(node *memberlist.Node) {
	o.cluster.mutex.Lock()
	defer o.cluster.mutex.Unlock()
	if o.cluster.ended[node.Name] {
		o.cluster.deaths <- death{o.number, node.Name, time.Now()}
	} else {
		o.cluster.falseDeaths++
	}
}

func main() {
	count := flag.Int("nodes", 0, "number of nodes")
	spread := flag.Float64("spread", 0, "seconds over which the joins are spread")
	encrypt := flag.Bool("encrypt", false, "with a key, AES-256")
	flag.Parse()
	commands := make(chan string)
	go readCommands(commands)
	if err := run(*count, *spread, *encrypt, commands); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readCommands(commands chan<- string) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		commands <- lines.Text()
	}
	os.Exit(0)
}

func run(count int, spread float64, encrypt bool, commands <-chan string) error {
	begin := time.Now()
	c := &cluster{deaths: make(chan death, 4096), ended: map[string]bool{}}
	if encrypt {
		c.key = make([]byte, 32)
		if _, err := rand.Read(c.key); err != nil {
			return err
		}
	}
	if err := c.start(count, spread); err != nil {
		return err
	}
	c.awaitComplete()
	say(formed{"formed", time.Since(begin).Seconds(), "memberlist", version(), encrypt, "lan", "go"})
	for command := range commands {
		switch command {
		case "crash":
			if err := c.crash(); err != nil {
				return err
			}
		case "restart":
			if err := c.restart(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown command %q", command)
		}
	}
	return nil
}

func say(line any) {
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}

// start opens the first node, then all others over spread seconds, each joining the first.
func (c *cluster) start(count int, spread float64) error {
	if count < 2 {
		return fmt.Errorf("--nodes must be at least 2, not %d", count)
	}
	first, err := c.open(0, 0, "")
	if err != nil {
		return err
	}
	seed := first.LocalNode().FullAddress().Addr
	c.nodes = make([]*memberlist.Memberlist, count)
	c.nodes[0] = first
	failures := make(chan error, count)
	for i := 1; i < count; i++ {
		go func() {
			time.Sleep(time.Duration(spread * float64(i) / float64(count) * float64(time.Second)))
			node, err := c.open(i, 0, seed)
			c.nodes[i] = node
			failures <- err
		}()
	}
	for range count - 1 {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) awaitComplete() {
	for _, node := range c.nodes {
		for node.NumMembers() != len(c.nodes) {
			time.Sleep(poll)
		}
	}
}

// crash ends one node without goodbye and waits until all others hold it dead.
func (c *cluster) crash() error {
	c.lastVictim = c.lastVictim%(len(c.nodes)-1) + 1
	name := nameOf(c.lastVictim)
	c.mutex.Lock()
	c.ended[name] = true
	c.mutex.Unlock()
	if err := c.nodes[c.lastVictim].Shutdown(); err != nil {
		return err
	}
	at := time.Now()
	line := crashed{Event: "crash"}
	known := map[int]bool{}
	limit := time.After(patience)
	for line.AllKnow == nil {
		select {
		case death := <-c.deaths:
			if death.whose != name {
				continue
			}
			known[death.observer] = true
			after := death.at.Sub(at).Seconds()
			if line.First == nil {
				line.First = &after
			}
			if len(known) == len(c.nodes)-1 {
				line.AllKnow = &after
			}
			continue
		case <-limit:
		}
		break
	}
	c.mutex.Lock()
	line.FalseDeaths = c.falseDeaths
	c.mutex.Unlock()
	say(line)
	return nil
}

// restart opens the ended node again where it was, and waits until every view is complete.
func (c *cluster) restart() error {
	begin := time.Now()
	port := int(c.nodes[c.lastVictim].LocalNode().Port)
	seed := c.nodes[0].LocalNode().FullAddress().Addr
	node, err := c.open(c.lastVictim, port, seed)
	if err != nil {
		return err
	}
	c.nodes[c.lastVictim] = node
	c.awaitComplete()
	c.mutex.Lock()
	delete(c.ended, nameOf(c.lastVictim))
	c.mutex.Unlock()
	say(restored{"restored", time.Since(begin).Seconds()})
	return nil
}

func nameOf(number int) string {
	return fmt.Sprintf("node-%d", number)
}

func (c *cluster) open(number, port int, seed string) (*memberlist.Memberlist, error) {
	config := memberlist.DefaultLANConfig()
	config.Name = nameOf(number)
	config.BindAddr = "127.0.0.1"
	config.BindPort = port
	config.AdvertisePort = port
	config.SecretKey = c.key
	config.Events = observer{number, c}
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
