package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log"
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

	strict *strict // nil: as the server is
}

// stream holds mu from the first byte of a message to its flush.
type stream struct {
	http.ResponseWriter
	mu        sync.Mutex
	inMessage bool
	compress  bool
	rewrite   func(message []byte) []byte // nil: as it is
	pending   []byte
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.inMessage {
		s.mu.Lock()
		s.inMessage = true
	}
	if s.rewrite == nil {
		return s.ResponseWriter.Write(p)
	}
	s.pending = append(s.pending, p...)
	return len(p), nil
}

func (s *stream) Flush() {
	if len(s.pending) > 4 {
		s.ResponseWriter.Write(frame(s.compress, s.rewrite(unframe(s.compress, s.pending))))
		s.pending = nil
	}
	s.ResponseWriter.(http.Flusher).Flush()
	if s.inMessage {
		s.inMessage = false
		s.mu.Unlock()
	}
}

func frame(compress bool, message []byte) []byte {
	if compress {
		message = zstdframe.AppendEncode(nil, message, zstdframe.FastestCompression)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(message))), message...)
}

func unframe(compress bool, framed []byte) []byte {
	if !compress {
		return framed[4:]
	}
	message, err := zstdframe.AppendDecode(nil, framed[4:])
	if err != nil {
		log.Fatalf("the server's own frame: %v", err)
	}
	return message
}

// inside points at a field that the server does not export.
func inside(server *testcontrol.Server, field string) unsafe.Pointer {
	return unsafe.Pointer(reflect.ValueOf(server).Elem().FieldByName(field).UnsafeAddr())
}

// hook puts itself in front of the server's handler of /machine/map. The requests inside of Noise go to a private
// mux of the server, hence the reflection.
func (s *streams) hook(server *testcontrol.Server) {
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/generate_204", nil))
	mux := *(**http.ServeMux)(inside(server, "mux"))
	theirs, _ := mux.Handler(httptest.NewRequest("POST", "/machine/map", nil))
	s.open = map[key.NodePublic]*stream{}
	mux.HandleFunc("POST /machine/map", func(w http.ResponseWriter, r *http.Request) { s.serve(theirs, w, r) })
	if s.strict != nil {
		register, _ := mux.Handler(httptest.NewRequest("POST", "/machine/register", nil))
		s.strict.server = server
		mux.HandleFunc("POST /machine/register", func(w http.ResponseWriter, r *http.Request) {
			s.strict.register(register, w, r)
		})
	}
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
	err := json.Unmarshal(body, &req)
	if err == nil && s.strict != nil && s.strict.answer(theirs, w, r, &req) {
		return
	}
	if err != nil || !req.Stream {
		theirs.ServeHTTP(w, r)
		return
	}
	one := &stream{ResponseWriter: w, compress: req.Compress != ""}
	if s.strict != nil {
		one.rewrite = func(message []byte) []byte { return s.strict.rewrite(message, &req) }
	}
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
	to.mu.Lock()
	defer to.mu.Unlock()
	if _, err := to.ResponseWriter.Write(frame(to.compress, message)); err != nil {
		return err
	}
	to.ResponseWriter.(http.Flusher).Flush()
	return nil
}
