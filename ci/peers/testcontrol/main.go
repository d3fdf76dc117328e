// testcontrol serves Tailscale's own test coordination server as a foreign server for our node, with a few
// admin paths under /_/ that drive a case.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/dnstype"
	"tailscale.com/types/key"
)

func main() {
	listen := flag.String("listen", "", "address to listen on, plain HTTP")
	url := flag.String("url", "", "URL that nodes use")
	derp := flag.String("derp", "", "file with the DERP map as JSON")
	domain := flag.String("domain", "mesh.test", "MagicDNS domain")
	auth := flag.Bool("interactive", false, "every login needs approval by /_/approve")
	flag.Parse()

	var derpMap tailcfg.DERPMap
	text, err := os.ReadFile(*derp)
	if err == nil {
		err = json.Unmarshal(text, &derpMap)
	}
	if err != nil {
		log.Fatalf("DERP map: %v", err)
	}
	server := &testcontrol.Server{
		ExplicitBaseURL:  *url,
		DERPMap:          &derpMap,
		AllNodesSameUser: true,
		AllOnline:        true,
		RequireAuth:      *auth,
		MagicDNSDomain:   *domain,
		DNSConfig: &tailcfg.DNSConfig{
			Proxied: true,
			Domains: []string{*domain},
			Routes:  map[string][]*dnstype.Resolver{*domain: nil},
		},
	}

	mux := http.NewServeMux()
	mux.Handle("/", server)
	handle := func(path string, run func(r *http.Request, node key.NodePublic) error) {
		mux.HandleFunc("/_/"+path, func(w http.ResponseWriter, r *http.Request) {
			var node key.NodePublic
			if text := r.FormValue("node"); text != "" {
				if err := node.UnmarshalText([]byte(text)); err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
			}
			if err := run(r, node); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
			fmt.Fprintln(w, "{}")
		})
	}
	handle("approve", func(r *http.Request, _ key.NodePublic) error {
		if !server.CompleteAuth(r.FormValue("url")) {
			return fmt.Errorf("no login waits under this URL")
		}
		return nil
	})
	handle("fake-node", func(*http.Request, key.NodePublic) error { server.AddFakeNode(); return nil })
	handle("expire", func(r *http.Request, _ key.NodePublic) error {
		server.SetExpireAllNodes(r.FormValue("on") == "true")
		return nil
	})
	handle("routes", func(r *http.Request, node key.NodePublic) error {
		route, err := netip.ParsePrefix(r.FormValue("route"))
		if err == nil {
			server.SetSubnetRoutes(node, []netip.Prefix{route})
		}
		return err
	})
	handle("record", func(r *http.Request, _ key.NodePublic) error {
		server.AddDNSRecords(tailcfg.DNSRecord{Name: r.FormValue("name"), Value: r.FormValue("value")})
		return nil
	})
	handle("raw", func(r *http.Request, node key.NodePublic) error {
		var m tailcfg.MapResponse
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err == nil && !server.AddRawMapResponse(node, &m) {
			err = fmt.Errorf("this node has no map stream")
		}
		return err
	})
	mux.HandleFunc("/_/nodes", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(server.AllNodes())
	})

	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"ready\":true,\"listen\":%q,\"url\":%q}\n", l.Addr(), *url)
	log.Fatal(http.Serve(l, mux))
}
