package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// serve is the shop's server. Its business log has the columns
// time,order,goods,service,method,ms,result,amount.
type serve struct {
	Addr   string `default:"127.0.0.1:8090" help:"Address to listen on." env:"SHOP_ADDR"`
	Logs   string `default:"./data/shop" help:"Directory of the logs." env:"SHOP_LOGS"`
	MaxMB  int64  `default:"64" help:"Size in MB at which a log is rotated by renaming; three old ones are kept."`
	trade  *logFile
	access *logFile
	errors *logFile
	orders atomic.Int64
	broken atomic.Bool
}

// Run serves until ctx ends.
func (s *serve) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.Logs, 0o755); err != nil {
		return fmt.Errorf("cannot make log directory: %w", err)
	}
	for name, file := range map[string]**logFile{"trade.log": &s.trade, "access.log": &s.access, "error.log": &s.errors} {
		opened, err := openLog(filepath.Join(s.Logs, name), s.MaxMB<<20)
		if err != nil {
			return err
		}
		defer opened.close()
		*file = opened
	}
	s.orders.Store(time.Now().Unix() % 1_000_000 * 1000)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.logged(s.create))
	mux.HandleFunc("POST /payments", s.logged(s.pay))
	mux.HandleFunc("GET /goods", s.logged(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "clothes food home books") }))
	mux.HandleFunc("PUT /switch/{state}", func(w http.ResponseWriter, r *http.Request) {
		s.broken.Store(r.PathValue("state") == "on")
		fmt.Fprintln(w, "payments fail:", s.broken.Load())
	})
	server := &http.Server{Addr: s.Addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	fmt.Printf("shop serves on http://%s, logs in %s\n", s.Addr, s.Logs)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve on %s: %w", s.Addr, err)
	}
	return nil
}

func (s *serve) create(w http.ResponseWriter, r *http.Request) {
	order := s.orders.Add(1)
	s.write(order, r.FormValue("goods"), "trade", "create", rand.IntN(12)+3, true, 0)
	fmt.Fprintln(w, order)
}

func (s *serve) pay(w http.ResponseWriter, r *http.Request) {
	ms := int(40 + rand.ExpFloat64()*30)
	ok := rand.IntN(1000) > 2
	if s.broken.Load() {
		ms += 2000
		ok = rand.IntN(10) == 0
	}
	order := s.orders.Load()
	s.write(order, r.FormValue("goods"), "pay", r.FormValue("method"), ms, ok, rand.IntN(50_000)+100)
	if !ok {
		now := time.Now()
		s.errors.printf("%s ERROR [pay-%d] c.s.pay.PayService - payment of order %d by %s failed\njava.net.SocketTimeoutException: bank gateway did not answer within 2000 ms\n\tat c.s.pay.BankClient.call(BankClient.java:118)\n\tat c.s.pay.PayService.pay(PayService.java:64)\n",
			now.Format("2006-01-02 15:04:05.000"), order%8, order, r.FormValue("method"))
		http.Error(w, "the bank did not answer", http.StatusBadGateway)
	}
}

func (s *serve) write(order int64, goods, service, method string, ms int, ok bool, cents int) {
	result := "Y"
	if !ok {
		result = "N"
	}
	s.trade.printf("%s,%d,%s,%s,%s,%d,%s,%d.%02d\n", time.Now().Format("2006-01-02 15:04:05.000"), order, goods, service, method, ms, result, cents/100, cents%100)
}

// logged writes the access log in the form that Apache and nginx use.
func (s *serve) logged(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorder := &recorder{ResponseWriter: w, status: http.StatusOK}
		next(recorder, r)
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		s.access.printf("%s - - [%s] \"%s %s %s\" %d %d \"-\" %q %.3f\n", host, start.Format("02/Jan/2006:15:04:05 -0700"), r.Method, r.URL.Path, r.Proto,
			recorder.status, recorder.size, r.UserAgent(), time.Since(start).Seconds())
	}
}

type recorder struct {
	http.ResponseWriter
	status, size int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (r *recorder) Write(b []byte) (int, error) { r.size += len(b); return r.ResponseWriter.Write(b) }

// logFile appends to a file and rotates it by renaming.
type logFile struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	size    int64
	maxSize int64
}

func openLog(path string, maxSize int64) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open log: %w", err), f.Close())
	}
	return &logFile{path: path, file: f, size: info.Size(), maxSize: maxSize}, nil
}

func (l *logFile) close() { l.file.Close() }

func (l *logFile) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size >= l.maxSize {
		if err := l.rotate(); err != nil {
			fmt.Fprintln(os.Stderr, "shop: cannot rotate log:", err)
		}
	}
	n, err := fmt.Fprintf(l.file, format, args...)
	l.size += int64(n)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop: cannot write log:", err)
	}
}

func (l *logFile) rotate() error {
	for i := 2; i >= 1; i-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", l.path, i), fmt.Sprintf("%s.%d", l.path, i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return err
	}
	next, err := openLog(l.path, l.maxSize)
	if err != nil {
		return err
	}
	l.file.Close()
	l.file, l.size = next.file, 0
	return nil
}
