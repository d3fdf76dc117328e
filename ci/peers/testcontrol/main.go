// testcontrol serves Tailscale's own test coordination server as a foreign server for our node. Admin paths under
// /_/ on the plain listener drive a case; a node is named there by its host name.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/dnstype"
	"tailscale.com/types/key"
)

type lab struct {
	server  *testcontrol.Server
	streams streams
	doors   []*door
}

func main() {
	listen := flag.String("listen", "", "address to listen on, plain HTTP")
	tlsListen := flag.String("tls", "", "address to listen on with a certificate made at the start; official clients reconnect there")
	url := flag.String("url", "", "URL that nodes use")
	relays := flag.String("relays", "", "file with a relay a line: name, host name of its certificate, IPv4 address, pin")
	domain := flag.String("domain", "mesh.test", "MagicDNS domain")
	auth := flag.Bool("interactive", false, "every login needs approval by /_/approve")
	strictly := flag.Bool("strict", false, "with the manners of Headscale: old versions refused, an early payload, endpoints taken from the stream request")
	verbose := flag.Bool("verbose", false, "log every register request")
	flag.Parse()

	derpMap, err := readRelays(*relays)
	if err != nil {
		log.Fatalf("relays: %v", err)
	}
	l := &lab{server: &testcontrol.Server{
		ExplicitBaseURL:  *url,
		DERPMap:          derpMap,
		AllNodesSameUser: true,
		AllOnline:        true,
		RequireAuth:      *auth,
		Verbose:          *verbose,
		MagicDNSDomain:   *domain,
		DNSConfig: &tailcfg.DNSConfig{
			Proxied: true,
			Domains: []string{*domain},
			Routes:  map[string][]*dnstype.Resolver{*domain: nil},
		},
	}}
	mux := http.NewServeMux()
	mux.Handle("/", l.server)
	if *strictly {
		l.streams.strict = &strict{forgotten: map[key.NodePublic]bool{}, Streams: map[string]streamRequest{}}
		mux.Handle("/ts2021", l.streams.strict.upgrade())
	}
	l.streams.hook(l.server)
	l.admin(mux)
	l.open(*listen, false, mux)
	if *tlsListen != "" {
		l.open(*tlsListen, true, mux)
	}
	fmt.Printf("{\"ready\":true,\"url\":%q}\n", *url)
	select {}
}

// readRelays makes a region of every line.
func readRelays(path string) (*tailcfg.DERPMap, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	regions := map[int]*tailcfg.DERPRegion{}
	for line := range strings.Lines(string(text)) {
		word := strings.Fields(line)
		if len(word) != 4 {
			return nil, fmt.Errorf("%q has not four words", line)
		}
		id := 900 + len(regions)
		regions[id] = &tailcfg.DERPRegion{RegionID: id, RegionCode: word[0], RegionName: word[0],
			Nodes: []*tailcfg.DERPNode{{Name: word[0], RegionID: id, HostName: word[1], IPv4: word[2],
				IPv6: "none", CertName: word[3]}}}
	}
	return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: regions}, nil
}

func (l *lab) node(name string) (*tailcfg.Node, error) {
	for _, n := range l.server.AllNodes() {
		if n.Hostinfo.Valid() && n.Hostinfo.Hostname() == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node has the name %q", name)
}

// admin answers /_/PATH with {} or, as 409, with what is wrong.
func (l *lab) admin(mux *http.ServeMux) {
	paths := map[string]func(r *http.Request) error{
		"approve": func(r *http.Request) error {
			if !l.server.CompleteAuth(r.FormValue("url")) {
				return fmt.Errorf("no login waits under %q", r.FormValue("url"))
			}
			return nil
		},
		"fake-node": func(*http.Request) error { l.server.AddFakeNode(); return nil },
		"expire": func(r *http.Request) error {
			if _, err := l.node(r.FormValue("node")); err != nil {
				return err
			}
			var expiry time.Time
			if r.FormValue("on") == "true" {
				expiry = time.Now().Add(-time.Minute)
			}
			for _, n := range l.server.AllNodes() { // the old and the new key of a login in progress
				if n.Hostinfo.Hostname() == r.FormValue("node") {
					n.KeyExpiry = expiry
					l.server.UpdateNode(n)
				}
			}
			return nil
		},
		"routes": func(r *http.Request) error {
			n, err := l.node(r.FormValue("node"))
			if err != nil {
				return err
			}
			var routes []netip.Prefix
			for _, text := range r.Form["route"] {
				p, err := netip.ParsePrefix(text)
				if err != nil {
					return err
				}
				routes = append(routes, p)
			}
			l.server.SetSubnetRoutes(n.Key, routes)
			return nil
		},
		"record": func(r *http.Request) error {
			l.server.AddDNSRecords(tailcfg.DNSRecord{Name: r.FormValue("name"), Value: r.FormValue("value")})
			return nil
		},
		"restart": func(r *http.Request) error {
			gap, err := time.ParseDuration(r.FormValue("for"))
			if err != nil {
				return err
			}
			for _, d := range l.doors {
				d.shut(gap)
			}
			return nil
		},
		"ping": func(r *http.Request) error { return l.ping(r.FormValue("node")) },
		"raw":  l.raw,
		"forget": func(r *http.Request) error {
			n, err := l.node(r.FormValue("node"))
			if err == nil {
				l.streams.strict.forget(n.Key)
			}
			return err
		},
	}
	for path, run := range paths {
		mux.HandleFunc("/_/"+path, func(w http.ResponseWriter, r *http.Request) {
			if err := run(r); err != nil {
				log.Printf("%s: %v", r.URL.Path, err)
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
			fmt.Fprintln(w, "{}")
		})
	}
	mux.HandleFunc("/_/seen", func(w http.ResponseWriter, _ *http.Request) { l.streams.strict.report(w) })
	mux.HandleFunc("/_/nodes", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(l.server.AllNodes())
	})
}

var reference = regexp.MustCompile(`"[@=][a-z0-9-]+"`)

// raw puts the body into the node's map stream as it is, but for "@NAME", which becomes the ID of that node, and
// "=NAME", the whole node. From then on this node gets no other message.
func (l *lab) raw(r *http.Request) error {
	n, err := l.node(r.URL.Query().Get("node"))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	text = reference.ReplaceAllFunc(text, func(word []byte) []byte {
		named, e := l.node(string(word[2 : len(word)-1]))
		if e != nil {
			err = e
			return word
		}
		if word[1] == '@' {
			return fmt.Appendf(nil, "%d", named.ID)
		}
		whole, _ := json.Marshal(named)
		return whole
	})
	if err != nil {
		return err
	}
	if !l.server.AddRawMapResponse(n.Key, &tailcfg.MapResponse{KeepAlive: true}) {
		return fmt.Errorf("this node has no map stream")
	}
	return l.streams.write(n.Key, bytes.TrimSpace(text))
}

// ping asks the node for a HEAD over Noise and waits until it came.
func (l *lab) ping(name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	came := l.streams.expectHead()
	if !l.server.AddPingRequest(n.Key, &tailcfg.PingRequest{
		URL: l.server.BaseURL() + headPath, URLIsNoise: true}) {
		return fmt.Errorf("this node has no map stream")
	}
	select {
	case <-came:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("no answer in 5 s")
	}
}
