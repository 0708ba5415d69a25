package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// load sends customers: each looks at goods, orders, and mostly pays.
type load struct {
	Shop string  `default:"http://127.0.0.1:8090" help:"Address of the shop." env:"SHOP_URL"`
	Rate float64 `default:"20" help:"Customers a second on average; it swings by a third over ten minutes."`
}

// Run sends customers until ctx ends.
func (l *load) Run(ctx context.Context) error {
	client := &http.Client{Timeout: 10 * time.Second}
	var customers sync.WaitGroup
	defer customers.Wait()
	begin := time.Now()
	for {
		rate := l.Rate * (1 + math.Sin(2*math.Pi*time.Since(begin).Minutes()/10)/3)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(rand.ExpFloat64() / rate * float64(time.Second))):
		}
		customers.Go(func() { l.customer(ctx, client) })
	}
}

func (l *load) customer(ctx context.Context, client *http.Client) {
	goods := pick([]string{"clothes", "food", "home", "books"}, []float64{0.3, 0.45, 0.15, 0.1})
	form := url.Values{"goods": {goods}}
	l.send(ctx, client, http.MethodGet, "/goods", nil)
	l.send(ctx, client, http.MethodPost, "/orders", form)
	if rand.IntN(10) > 0 {
		form.Set("method", pick([]string{"alipay", "card", "wechat"}, []float64{0.5, 0.2, 0.3}))
		l.send(ctx, client, http.MethodPost, "/payments", form)
	}
}

// send ignores what the shop answers: a customer who fails goes away.
func (l *load) send(ctx context.Context, client *http.Client, method, path string, form url.Values) {
	req, err := http.NewRequestWithContext(ctx, method, l.Shop+path, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", pick([]string{"Mozilla/5.0 (iPhone)", "Mozilla/5.0 (Windows NT 10.0)", "shop-app/4.2"}, []float64{0.5, 0.2, 0.3}))
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func pick(names []string, shares []float64) string {
	x := rand.Float64()
	for i, share := range shares {
		if x -= share; x < 0 {
			return names[i]
		}
	}
	return names[len(names)-1]
}

// fail switches payments.
type fail struct {
	State string `arg:"" enum:"on,off" help:"on: payments fail; off: they work again."`
	Shop  string `default:"http://127.0.0.1:8090" help:"Address of the shop." env:"SHOP_URL"`
}

// Run tells the shop.
func (f *fail) Run(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, f.Shop+"/switch/"+f.State, nil)
	if err != nil {
		return fmt.Errorf("cannot make request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach the shop: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("cannot read the shop's answer: %w", err)
	}
	fmt.Print(string(text))
	return nil
}
