package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"golang.org/x/net/http2"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

const minimumVersion = 113

// strict gives the server the manners of Headscale.
type strict struct {
	server    *testcontrol.Server
	mu        sync.Mutex
	forgotten map[key.NodePublic]bool

	Refused   int                      // requests of an old version
	OneShots  int                      // requests for a whole map without a stream; their answer is empty
	Unknown   int                      // map requests of a node key that is not known
	Registers int                      // register requests
	Streams   map[string]streamRequest // newest of each host name
}

type streamRequest struct {
	Version, Endpoints, HomeDERP int
	Disco                        bool
}

func (s *strict) refuse(w http.ResponseWriter, version int) bool {
	if version >= minimumVersion {
		return false
	}
	s.Refused++
	http.Error(w, fmt.Sprintf("version %d is too old", version), http.StatusBadRequest)
	return true
}

// peerContext says whose connection it is, under the key that the server uses and does not export.
type peerContext struct {
	context.Context
	peer key.MachinePublic
}

func (c peerContext) Value(k any) any {
	if fmt.Sprintf("%T", k) == "testcontrol.peerMachinePublicContextKey" {
		return c.peer
	}
	return c.Context.Value(k)
}

// challenge is the early payload: it goes before the first frame of HTTP/2.
func challenge(_ int, w io.Writer) error {
	text, _ := json.Marshal(tailcfg.EarlyNoise{NodeKeyChallenge: key.NewChallenge().Public()})
	head := binary.BigEndian.AppendUint32([]byte("\xff\xff\xffTS"), uint32(len(text)))
	_, err := w.Write(append(head, text...))
	return err
}

func (s *strict) serve(w http.ResponseWriter, r *http.Request) {
	private := *(*key.MachinePrivate)(inside(s.server, "noisePrivKey"))
	conn, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, private, challenge)
	if err != nil {
		log.Printf("upgrade: %v", err)
		return
	}
	defer conn.Close()
	new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{
		Context:    peerContext{context.WithoutCancel(r.Context()), conn.Peer()},
		BaseConfig: &http.Server{Handler: *(**http.ServeMux)(inside(s.server, "mux"))},
	})
}

// upgrade looks at the version in the Noise initiation, which travels in a header.
func (s *strict) upgrade() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		initiation, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Tailscale-Handshake"))
		if err != nil || len(initiation) < 2 {
			http.Error(w, "no handshake", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		refused := s.refuse(w, int(binary.BigEndian.Uint16(initiation)))
		s.mu.Unlock()
		if !refused {
			s.serve(w, r)
		}
	})
}

func (s *strict) register(theirs http.Handler, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var req tailcfg.RegisterRequest
	if json.Unmarshal(body, &req) == nil {
		s.mu.Lock()
		refused := s.refuse(w, int(req.Version))
		s.Registers++
		delete(s.forgotten, req.NodeKey)
		s.mu.Unlock()
		if refused {
			return
		}
	}
	theirs.ServeHTTP(w, r)
}

// answer reports whether it has answered. Of a stream it takes the endpoints, the disco key and the host's facts, also
// where they are missing.
func (s *strict) answer(theirs http.Handler, w http.ResponseWriter, r *http.Request, req *tailcfg.MapRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.refuse(w, int(req.Version)):
		return true
	case s.forgotten[req.NodeKey] || s.server.Node(req.NodeKey) == nil:
		s.Unknown++
		http.Error(w, "node not found", http.StatusNotFound)
		return true
	case !req.Stream && !req.OmitPeers:
		s.OneShots++
		w.WriteHeader(http.StatusOK)
		return true
	}
	if req.Stream {
		seen := streamRequest{Version: int(req.Version), Endpoints: len(req.Endpoints), Disco: !req.DiscoKey.IsZero()}
		if req.Hostinfo != nil {
			if req.Hostinfo.NetInfo != nil {
				seen.HomeDERP = req.Hostinfo.NetInfo.PreferredDERP
			}
			s.Streams[req.Hostinfo.Hostname] = seen
		}
	}
	lite := *req
	lite.Stream, lite.OmitPeers = false, true
	text, _ := json.Marshal(lite)
	update := r.Clone(r.Context())
	update.Body = io.NopCloser(bytes.NewReader(text))
	theirs.ServeHTTP(httptest.NewRecorder(), update)
	if !req.Stream {
		w.WriteHeader(http.StatusOK)
		return true
	}
	text, _ = json.Marshal(req)
	r.Body = io.NopCloser(bytes.NewReader(text))
	return false
}

// rewrite makes every peer as able as the one who looks, names the filters, and adds a region that is null.
func (s *strict) rewrite(message []byte, req *tailcfg.MapRequest) []byte {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return message
	}
	if peers, ok := m["Peers"].([]any); ok {
		for _, p := range peers {
			p.(map[string]any)["Cap"] = req.Version
		}
	}
	if rules, ok := m["PacketFilter"]; ok {
		delete(m, "PacketFilter")
		m["PacketFilters"] = map[string]any{"base": rules}
	}
	if derp, ok := m["DERPMap"].(map[string]any); ok {
		if regions, ok := derp["Regions"].(map[string]any); ok {
			regions["999"] = nil
		}
	}
	text, _ := json.Marshal(m)
	return text
}

func (s *strict) forget(node key.NodePublic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten[node] = true
}

func (s *strict) report(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(s)
}
