// Sends pushes with Go's own client of HTTP/2, and measures itself. Told what to do by PUSH_BENCH_TASK.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type task struct {
	Port        int    `json:"port"`
	CaFile      string `json:"ca_file"`
	Topic       string `json:"topic"`
	Token       string `json:"token"`
	Pushes      int    `json:"pushes"`
	AtOnce      int    `json:"at_once"`
	Connections int    `json:"connections"`
	Body        string `json:"body"`
}

const device = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"

func main() {
	var todo task
	check(json.Unmarshal([]byte(os.Getenv("PUSH_BENCH_TASK")), &todo))
	pem, err := os.ReadFile(todo.CaFile)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	clients := make([]*http.Client, todo.Connections)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
		}}
	}
	send(todo, clients, todo.Pushes/10+todo.AtOnce)
	began, before := time.Now(), cpu()
	send(todo, clients, todo.Pushes)
	fmt.Printf("{\"pushes\":%d,\"wall_seconds\":%f,\"cpu_seconds\":%f}\n", todo.Pushes, time.Since(began).Seconds(), cpu()-before)
}

func payload(todo task) []byte {
	body, err := json.Marshal(map[string]any{
		"aps": map[string]any{
			"alert":              map[string]string{"title": "All your apps are down", "body": todo.Body},
			"sound":              "default",
			"interruption-level": "time-sensitive",
			"relevance-score":    1.0,
			"thread-id":          "inc_0199e5d0",
			"category":           "phoneops.page",
			"mutable-content":    1,
		},
		"data": map[string]any{
			"kind": "page", "navigate": "https://phoneops.example/i/PIHXOC6", "tag": "ntf_0199e5d0",
			"subject": "inc_0199e5d0", "ref": "PIHXOC6", "round": 1,
		},
	})
	check(err)
	return body
}

func send(todo task, clients []*http.Client, pushes int) {
	var left atomic.Int64
	left.Store(int64(pushes))
	url := "https://localhost:" + strconv.Itoa(todo.Port) + "/3/device/" + device
	expiration := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	var all sync.WaitGroup
	for i := 0; i < todo.AtOnce; i++ {
		all.Add(1)
		client := clients[i%len(clients)]
		go func() {
			defer all.Done()
			for left.Add(-1) >= 0 {
				request, err := http.NewRequest("POST", url, bytes.NewReader(payload(todo)))
				check(err)
				request.Header.Set("authorization", "bearer "+todo.Token)
				request.Header.Set("apns-topic", todo.Topic)
				request.Header.Set("apns-push-type", "alert")
				request.Header.Set("apns-priority", "10")
				request.Header.Set("apns-id", "0c8d3f4e-93a6-4b0e-a6a1-5d6f2f3c9d10")
				request.Header.Set("apns-expiration", expiration)
				request.Header.Set("apns-collapse-id", "ntf_0199e5d0")
				answer, err := client.Do(request)
				check(err)
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != 200 {
					check(fmt.Errorf("answered %d", answer.StatusCode))
				}
			}
		}()
	}
	all.Wait()
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
