package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"unsafe"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

const headPath = "/machine/ping-response"

// streams knows the open map streams, so that messages which the server's own types cannot express, such as unknown
// fields, can be put between the server's.
type streams struct {
	mu   sync.Mutex
	open map[key.NodePublic]*stream
	head chan struct{}
}

// stream holds mu from the first byte of a message to its flush.
type stream struct {
	http.ResponseWriter
	mu        sync.Mutex
	inMessage bool
	compress  bool
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.inMessage {
		s.mu.Lock()
		s.inMessage = true
	}
	return s.ResponseWriter.Write(p)
}

func (s *stream) Flush() {
	s.ResponseWriter.(http.Flusher).Flush()
	if s.inMessage {
		s.inMessage = false
		s.mu.Unlock()
	}
}

// hook puts itself in front of the server's handler of /machine/map. The requests inside of Noise go to a private
// mux of the server, hence the reflection.
func (s *streams) hook(server *testcontrol.Server) {
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/generate_204", nil))
	field := reflect.ValueOf(server).Elem().FieldByName("mux")
	mux := *(**http.ServeMux)(unsafe.Pointer(field.UnsafeAddr()))
	theirs, _ := mux.Handler(httptest.NewRequest("POST", "/machine/map", nil))
	s.open = map[key.NodePublic]*stream{}
	mux.HandleFunc("POST /machine/map", func(w http.ResponseWriter, r *http.Request) { s.serve(theirs, w, r) })
	mux.HandleFunc("HEAD "+headPath, func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.head != nil {
			close(s.head)
			s.head = nil
		}
	})
}

func (s *streams) expectHead() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = make(chan struct{})
	return s.head
}

func (s *streams) serve(theirs http.Handler, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var req tailcfg.MapRequest
	if json.Unmarshal(body, &req) != nil || !req.Stream {
		theirs.ServeHTTP(w, r)
		return
	}
	one := &stream{ResponseWriter: w, compress: req.Compress != ""}
	s.mu.Lock()
	s.open[req.NodeKey] = one
	s.mu.Unlock()
	theirs.ServeHTTP(one, r)
	s.mu.Lock()
	if s.open[req.NodeKey] == one {
		delete(s.open, req.NodeKey)
	}
	s.mu.Unlock()
}

func (s *streams) write(node key.NodePublic, message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.open[node]
	if to == nil {
		return errors.New("this node has no map stream")
	}
	if to.compress {
		message = zstdframe.AppendEncode(nil, message, zstdframe.FastestCompression)
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(message)))
	if _, err := to.ResponseWriter.Write(append(frame, message...)); err != nil {
		return err
	}
	to.ResponseWriter.(http.Flusher).Flush()
	return nil
}
